"""Geometry of the embeddings: alignment, uniformity, effective rank, spread and share of the mean.

Shapes: N documents, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.data.cleaning.clean import cut
from agentos.data.scripts import words
from agentos.evaluation.base import HeldOut, Metric, Task, too_few, unit_rows
from agents.models.text_encoder import TextEncoder
from protocols.seeding import generator

HALF_WORDS = 4
MINIMUM = 2
DEAD = 0.05
"""Deviation below which a dimension is dead, as a share of that of an isotropic one."""


class Geometry(Task):
    """Alignment, uniformity, RankMe, spread and share of the mean of the embeddings; needs no labels.

    A positive pair is the first and the second half of one document, cut at its middle word.
    All but alignment are measured on the first halves. Read alignment together with uniformity:
    a collapsed encoder has a perfect alignment of 0 and the worst uniformity, also 0.

    Sources: Wang and Isola, Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere, 2020; Garrido et al., RankMe: Assessing the Downstream Performance of
    Pretrained Self-Supervised Representations by Their Rank, 2023.

    Example:
        >>> [metric.higher_is_better for metric in Geometry().metrics]
        [False, False, True, True, False, False]
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="alignment",
            higher_is_better=False,
            help="Mean squared distance, on the unit sphere, between the two halves of a document.",
            minor=True,
            diagnostic=True,
        ),
        Metric(
            name="uniformity",
            higher_is_better=False,
            help="How evenly documents fill the unit sphere: 0 if collapsed, -4 if well spread.",
            minor=True,
            diagnostic=True,
        ),
        Metric(
            name="rankme",
            label="RankMe",
            higher_is_better=True,
            help="Directions that the embeddings use, at most their width.",
            minor=True,
            diagnostic=True,
        ),
        Metric(
            name="dimension_spread",
            higher_is_better=True,
            help="Mean deviation of a dimension on the unit sphere: 0 if collapsed, 1 if isotropic.",
            minor=True,
            diagnostic=True,
        ),
        Metric(
            name="dead_dimensions",
            higher_is_better=False,
            help="Share of dimensions that hardly vary from document to document.",
            percent=True,
            minor=True,
            diagnostic=True,
        ),
        Metric(
            name="mean_share",
            label="Share of the mean",
            higher_is_better=False,
            help="Share of the embeddings' squared length that all documents have in common; centring "
            "removes it.",
            percent=True,
            minor=True,
            diagnostic=True,
        ),
    )

    kind: Literal["geometry"] = "geometry"
    documents: int = Field(default=512, ge=MINIMUM, description="documents to use, at most")

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text with fewer than two documents of eight words."""
        found = len(halves(heldout.texts))
        if found < MINIMUM:
            raise too_few(self.kind, MINIMUM, found, f"documents of {2 * HALF_WORDS} words or more")

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``alignment`` in [0, 4], ``uniformity`` in [-8, 0], ``rankme`` in [1, D], and more.

        ``dimension_spread``, ``dead_dimensions`` and ``mean_share`` are in [0, 1].
        """
        pairs = halves(heldout.texts)
        chosen = generator(seed, "evaluation", "geometry").permutation(len(pairs))
        first, second = zip(*(pairs[i] for i in chosen[: self.documents]), strict=True)
        first_ND, second_ND = encoder.embed(first), encoder.embed(second)
        return {
            "alignment": alignment(first_ND, second_ND),
            "uniformity": uniformity(first_ND),
            "rankme": rankme(first_ND),
            "dimension_spread": float(np.mean(deviations(first_ND))),
            "dead_dimensions": float(np.mean(deviations(first_ND) < DEAD)),
            "mean_share": mean_share(first_ND),
        }


def halves(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Cut each text of eight words or more at its middle word; see `agentos.data.scripts.words`.

    Example:
        >>> halves(["a b c d e f g h i", "too short"])
        [('a b c d', 'e f g h i')]
    """
    middles = [len(words(text)) // 2 for text in texts]
    return [
        cut(text, middle)
        for text, middle in zip(texts, middles, strict=True)
        if middle >= HALF_WORDS
    ]


def alignment(first_ND: NDArray[np.float32], second_ND: NDArray[np.float32]) -> float:
    """Return ``mean_i |u_i - v_i|^2`` over positive pairs of unit rows; lower is better.

    Example:
        >>> alignment(np.eye(2, dtype=np.float32), -np.eye(2, dtype=np.float32))
        4.0
    """
    return float(np.mean(np.sum((unit_rows(first_ND) - unit_rows(second_ND)) ** 2, axis=1)))


def uniformity(rows_ND: NDArray[np.float32]) -> float:
    """Return ``log mean_{i<j} exp(-2 |u_i - u_j|^2)`` over unit rows; lower is better.

    Example:
        >>> round(uniformity(np.eye(2, dtype=np.float32)), 6)  # one pair, squared distance 2
        -4.0
    """
    unit = unit_rows(rows_ND)
    i, j = np.triu_indices(len(unit), k=1)
    lengths = np.sum(unit**2, axis=1)
    squared = np.maximum(lengths[i] + lengths[j] - 2 * (unit @ unit.T)[i, j], 0.0)
    return float(np.log(np.mean(np.exp(-2 * squared))))


def deviations(rows_ND: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``sqrt(D) * std_i(u_id)`` `[D]` over unit rows u: 1 each if isotropic.

    Source: Chen and He, Exploring Simple Siamese Representation Learning, 2021, where a mean of 0 indicates
    collapse.

    Example:
        >>> rows = np.array([[1, 0], [-1, 0]], dtype=np.float32)
        >>> (deviations(rows) / np.sqrt(2)).round(6).tolist()
        [1.0, 0.0]
    """
    unit = unit_rows(rows_ND)
    scaled: NDArray[np.float64] = np.sqrt(unit.shape[1]) * unit.std(axis=0)
    return scaled


def mean_share(rows_ND: NDArray[np.float32]) -> float:
    """Return ``|mean_i x_i|^2 / mean_i |x_i|^2``: 0 if centred, 1 if all rows are the same.

    Rows that are all zero are one point, with a share of 1.

    Example:
        >>> mean_share(np.eye(2, dtype=np.float32))
        0.5
    """
    rows = rows_ND.astype(np.float64)
    length = float(np.mean(np.sum(rows**2, axis=1)))
    return min(1.0, float(np.sum(rows.mean(axis=0) ** 2)) / length) if length > 0 else 1.0


def rankme(rows_ND: NDArray[np.float32]) -> float:
    """Return ``exp(-sum_k p_k log p_k)``, ``p_k = s_k / sum(s)`` over singular values s.

    The embeddings are neither centred nor normalised, as in the paper. Natural logarithm.

    Example:
        >>> round(rankme(np.eye(3, dtype=np.float32)), 6)
        3.0
    """
    singular = np.linalg.svd(rows_ND.astype(np.float64), compute_uv=False)
    if not singular.sum() > 0:
        return 1.0  # nothing but zeros: a single point
    shares = singular / singular.sum()
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))
