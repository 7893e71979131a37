"""Pairs of sentences: correlation with human scores, and classification of similar pairs.

Shapes: N pairs, D embedding width.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import TIE_DECIMALS, HeldOut, Metric, Task, unit_rows
from agentos.evaluation.task_files import Pairs, read_pairs
from agents.models.text_encoder import TextEncoder
from protocols.errors import ConfigurationError

PairFile = Field(min_length=1, description="file of pairs: .jsonl, .csv, .tsv or .parquet")


class PairTask(Task):
    """Base of tasks on a file of sentence pairs, each with a value."""

    path: str = PairFile
    sentence1: str = Field(default="sentence1", description="column of the first sentence")
    sentence2: str = Field(default="sentence2", description="column of the second sentence")

    @property
    @abstractmethod
    def value_column(self) -> str:
        """Column of the value."""

    def read(self) -> Pairs:
        """Return the pairs of the file."""
        return read_pairs(self.path, self.sentence1, self.sentence2, self.value_column)

    def check(self, heldout: HeldOut) -> None:
        """Refuse a file whose values are all the same; held-out documents are not used."""
        require_two_values(self.path, self.value_column, cast(Pairs, self.files))


class STS(PairTask):
    """Sentence similarity: correlation of the cosine with human scores, on pairs from a file.

    Read the Spearman correlation first: it depends only on the order. An encoder that gives every pair
    the same cosine scores 0.

    Source: Agirre et al., SemEval-2012 Task 6: A Pilot on Semantic Textual Similarity, 2012.

    Example:
        >>> STS(path="pairs.jsonl", score="similarity").metrics[0].name
        'sts_spearman'
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="sts_spearman",
            label="STS Spearman",
            higher_is_better=True,
            help="Rank correlation of the cosine of two sentences with their human score.",
        ),
        Metric(
            name="sts_pearson",
            label="STS Pearson",
            higher_is_better=True,
            help="Linear correlation of the cosine of two sentences with their human score.",
            minor=True,
        ),
    )
    affected_by: ClassVar[frozenset[str]] = frozenset({"centered", "whitened"})

    kind: Literal["sts"] = "sts"
    score: str = Field(default="score", description="column of the score, on any scale")

    @property
    def value_column(self) -> str:
        """Column of the score."""
        return self.score

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``sts_spearman`` and ``sts_pearson``, both in [-1, 1]."""
        from scipy.stats import pearsonr, spearmanr

        pairs: Pairs = self.files
        cosines = cosines_of(encoder.embed(pairs.first), encoder.embed(pairs.second))
        if np.ptp(cosines) == 0:
            return {"sts_spearman": 0.0, "sts_pearson": 0.0}
        return {
            "sts_spearman": float(spearmanr(cosines, pairs.values).statistic),
            "sts_pearson": float(pearsonr(cosines, pairs.values).statistic),
        }


class PairClassification(PairTask):
    """Pair classification: average precision of ranking labelled sentence pairs by similarity.

    Labels are 1 for pairs that belong together (paraphrases, duplicates) and 0 for the others. The
    second metric is the best over cosine, dot product, and Euclidean and Manhattan distance, which
    is what mteb reports.

    Source: Muennighoff et al., MTEB: Massive Text Embedding Benchmark, 2023.

    Example:
        >>> PairClassification(path="pairs.csv").kind
        'pair_classification'
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="pair_ap",
            label="Pair AP",
            higher_is_better=True,
            help="Average precision of ranking similar pairs before dissimilar ones by cosine.",
            percent=True,
        ),
        Metric(
            name="pair_max_ap",
            label="Pair AP, best measure",
            higher_is_better=True,
            help="The same by the best of cosine, dot product, Euclidean and Manhattan distance.",
            percent=True,
            minor=True,
        ),
    )
    affected_by: ClassVar[frozenset[str]] = frozenset({"centered", "whitened"})

    kind: Literal["pair_classification"] = "pair_classification"
    label: str = Field(default="label", description="column of the label, 1 or 0")

    @property
    def value_column(self) -> str:
        """Column of the label."""
        return self.label

    def check(self, heldout: HeldOut) -> None:
        """Refuse labels other than 0 and 1, or only one of them; held-out documents are not used."""
        super().check(heldout)
        pairs: Pairs = self.files
        others = sorted({*pairs.values} - {0.0, 1.0})
        if others:
            raise ConfigurationError(
                f"{self.path}: the column {self.label!r} has labels other than 0 and 1",
                expected="0 or 1",
                actual=others[0],
                hint="label pairs that belong together 1 and the others 0",
            )

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``pair_ap`` and ``pair_max_ap``, both in (0, 1]."""
        from sklearn.metrics import average_precision_score

        pairs: Pairs = self.files
        first = encoder.embed(pairs.first).astype(np.float64)
        second = encoder.embed(pairs.second).astype(np.float64)
        similarities = (
            cosines_of(first, second),
            np.sum(first * second, axis=1),
            -np.linalg.norm(first - second, axis=1),
            -np.abs(first - second).sum(axis=1),
        )
        found = [float(average_precision_score(pairs.values, scores)) for scores in similarities]
        return {"pair_ap": found[0], "pair_max_ap": max(found)}


def cosines_of(
    first_ND: NDArray[np.floating], second_ND: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the cosine `[N]` of each pair of rows, rounded so that noise does not order them.

    Example:
        >>> cosines_of(np.eye(2), np.array([[2.0, 0.0], [1.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    cosines: NDArray[np.float64] = np.round(
        np.sum(unit_rows(first_ND) * unit_rows(second_ND), axis=1), TIE_DECIMALS
    )
    return cosines


def require_two_values(path: str, column: str, pairs: Pairs) -> None:
    """Refuse pairs that all have the same value, with which no ranking can be scored.

    Raises:
        ConfigurationError: all values are equal.
    """
    if len({*pairs.values}) < 2:
        raise ConfigurationError(
            f"{path}: every pair has the same {column}",
            expected="two values or more",
            actual=pairs.values[0],
            hint="name a file with both similar and dissimilar pairs",
        )
