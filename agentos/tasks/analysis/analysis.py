"""The analysis of a task: its texts, its labels, and whether several agents would answer it better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.analysis.headroom import Headroom, headroom, mean_fusion
from agentos.tasks.analysis.label_noise import LabelNoise, label_noise
from agentos.tasks.analysis.texts import TextFigures, text_figures
from agentos.tasks.analysis.v_information import pointwise_v_information
from agentos.tasks.out_of_fold import FOLDS, out_of_fold
from agentos.tasks.resemblance import resembling
from protocols.errors import ConfigurationError


@dataclass(frozen=True)
class Analysis:
    """Facts known of a task before agents work on it.

    Args:
        figures: of its texts.
        models: name of each model.
        bits: `[N]`, pointwise V-information of each text, from the best single model.
        noise: of the labels, from the fused answers.
        headroom: of cooperation.
    """

    figures: TextFigures
    models: tuple[str, ...]
    bits: NDArray[np.float64]
    noise: LabelNoise
    headroom: Headroom

    @property
    def verdict(self) -> str:
        """Return one sentence: is one agent enough?"""
        found = self.headroom
        alone = f"{self.models[found.best]} alone is right in {found.single:.1%}"
        best = f"{alone}, all together in {found.fused:.1%}"
        if found.one_is_enough:
            bound = f"the gain may be as low as {100 * found.lower:+.1f} points"
            return f"One agent is enough: {best}; {bound}."
        return f"Cooperation helps: {best}, a gain of at least {100 * found.lower:.1f} points."

    def as_json(self) -> dict[str, Any]:
        """Return what `analysis.json` holds."""
        return {
            "texts": asdict(self.figures),
            "models": list(self.models),
            "bits": {
                "mean": float(self.bits.mean()),
                "negative": float((self.bits < 0).mean()),
                "quantiles": np.quantile(self.bits, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist(),
            },
            "noise": {"rate": self.noise.rate, "suspects": self.noise.suspects.tolist()},
            "headroom": {**asdict(self.headroom), "one_is_enough": self.headroom.one_is_enough},
            "verdict": self.verdict,
        }


def analyse(
    texts: Sequence[str],
    labels: Sequence[str],
    embeddings: Mapping[str, NDArray[np.floating]],
    origins: Sequence[str],
    seed: int = 0,
    folds: int = FOLDS,
) -> Analysis:
    """Analyse the part of a task that is fitted on; give it no text of the test part.

    All answers are out of fold, near duplicates in one fold. The fused answer is the mean of the models'
    probabilities, in which every origin counts once.

    Args:
        texts: N texts.
        labels: label of each.
        embeddings: `[N, D]` by the name of each model.
        origins: origin of each model's weights, in the same order.
        seed: the run's seed.
        folds: folds of the cross-validation.

    Raises:
        ConfigurationError: there is no model, too few texts, or numbers that do not fit each other.
    """
    if not embeddings or len(origins) != len(embeddings):
        raise ConfigurationError(
            "a task is analysed with the models that may work on it",
            expected="at least one model, and an origin for each",
            actual=f"{len(embeddings)} models, {len(origins)} origins",
            hint="add a model to the library",
        )
    figures = text_figures(texts, labels)
    _, codes = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
    groups = resembling(texts)
    answers = [out_of_fold(rows, codes, seed, folds, groups) for rows in embeddings.values()]
    fused = mean_fusion([each.probabilities for each in answers], origins)
    right = np.stack([_right(each.probabilities, codes) for each in answers])
    found = headroom(_right(fused, codes), right)
    return Analysis(
        figures=figures,
        models=tuple(embeddings),
        bits=pointwise_v_information(answers[found.best], codes),
        noise=label_noise(fused, codes),
        headroom=found,
    )


def _right(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = probabilities.argmax(axis=1) == codes
    return right
