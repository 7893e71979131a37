"""Explain a number of a text by its words, and say how far the explanation can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from agentos.audit.explanation.attribution import Attribution, attribute, scores
from agentos.audit.explanation.faithfulness import RANDOM_ORDERS, Faithfulness, faithfulness
from agentos.audit.explanation.targets import target_of
from agentos.audit.explanation.text_words import Words, words_of
from agentos.evaluation.loaded_encoder import LoadedEncoder

METHODS = ("integrated_gradients", "occlusion")


@dataclass(frozen=True)
class Explanation:
    """Which words carry a number, by two methods, each with its check.

    Attributes:
        target: the number that is explained, in words.
        words: the text, cut into words.
        attribution: contribution of each word.
        agreement: rank correlation of the two methods over the words; None for fewer than three words.
        checks: deletion and insertion curves of each method in `METHODS`.
    """

    target: str
    words: Words
    attribution: Attribution
    agreement: float | None
    checks: dict[str, Faithfulness]

    @property
    def method(self) -> str:
        """The method whose order of words has the larger gap between its two curves."""
        return max(METHODS, key=lambda name: self.checks[name].gap)

    @property
    def contributions(self) -> NDArray[np.float64]:
        """`[W]` contributions of the words by that method."""
        by_name = dict(
            zip(METHODS, (self.attribution.gradients, self.attribution.occlusion), strict=True)
        )
        return by_name[self.method]

    def faithful(self) -> bool:
        """Whether both curves of the chosen method beat at least 19 of 20 random orders."""
        check = self.checks[self.method]
        least = round(0.95 * RANDOM_ORDERS)
        return min(check.deletion_beats, check.insertion_beats) >= least

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        found = self.attribution
        return {
            "text": self.words.text,
            "target": self.target,
            "score": found.score,
            "baseline": found.baseline,
            "residue": found.residue,
            "method": self.method,
            "faithful": self.faithful(),
            "agreement": self.agreement,
            "words": [
                {
                    "word": self.words.spelling(index),
                    "start": word.start,
                    "end": word.end,
                    "integrated_gradients": float(found.gradients[index]),
                    "occlusion": float(found.occlusion[index]),
                }
                for index, word in enumerate(self.words.words)
            ],
            "checks": {name: vars(check) for name, check in self.checks.items()},
        }


def explain(
    encoder: LoadedEncoder,
    text: str,
    other: str | None = None,
    label: str | None = None,
    seed: int = 0,
) -> Explanation:
    """Explain which words of a text carry its embedding, its similarity to another text, or its class.

    Args:
        encoder: the encoder.
        text: the text; words past the encoder's length are not explained.
        other: explain the cosine to this text.
        label: explain the log-probability of this class of the agent's own classifier; ``auto`` for the
            most probable one.
        seed: draws the random orders that the explanation is compared with.

    Raises:
        ConfigurationError: `other` and `label` are both given, or the class is unknown.
        DataError: the text has no words.

    Example:
        >>> encoder = LoadedEncoder.load("runs/x/encoders/agent-0")  # doctest: +SKIP
        >>> explain(encoder, "Return the mean of an array.").faithful()  # doctest: +SKIP
        True
    """
    words, target = words_of(encoder, text), target_of(encoder, text, other, label)
    found = attribute(encoder, words, target)
    methods = dict(zip(METHODS, (found.gradients, found.occlusion), strict=True))
    checks = faithfulness(words, methods, lambda texts: scores(encoder, target, texts), seed)
    return Explanation(target.name, words, found, _agreement(found), checks)


def _agreement(found: Attribution) -> float | None:
    """Return the rank correlation of the two methods; None where ranks say nothing."""
    pair = (found.gradients, found.occlusion)
    if len(found.gradients) < 3 or any(np.ptp(values) == 0 for values in pair):
        return None
    return float(spearmanr(*pair).statistic)
