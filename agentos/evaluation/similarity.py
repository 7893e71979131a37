"""Similarity of two encoders' embeddings of the same texts; widths may differ.

Shapes: N texts, D1 and D2 embedding widths, A agents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.base import TIE_DECIMALS, unit_rows

Rows = NDArray[np.floating]
NEIGHBOURS = 10


class Measure(NamedTuple):
    """A measure between two encoders.

    Attributes:
        function: `[N, D1]`, `[N, D2]` -> a number in [0, 1].
        title: its title in figures.
        help: explanation for the reader.
        identical: its value for an encoder and itself.
    """

    function: Callable[[Rows, Rows], float]
    title: str
    help: str
    identical: float


def linear_cka(first: Rows, second: Rows) -> float:
    """Return linear CKA, ``|Y'X|_F^2 / (|X'X|_F |Y'Y|_F)`` of centred X and Y, in [0, 1].

    1 if one is the other rotated, scaled and shifted; 0 for an encoder without any spread.

    Source: Kornblith et al., Similarity of Neural Network Representations Revisited, 2019.

    Example:
        >>> rows = np.eye(4)
        >>> round(linear_cka(rows, 3 * rows[:, ::-1]), 6)
        1.0
    """
    x, y = _centred(first), _centred(second)
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.sum((y.T @ x) ** 2) / scale) if scale > 0 else 0.0


def procrustes_residual(first: Rows, second: Rows) -> float:
    """Return ``1 - |X'Y|_*`` of X and Y centred and scaled to norm 1.

    Half of ``min_R |X R - Y|_F^2``, in [0, 1]: 0 if one is the other rotated, 1 if they have nothing
    in common. The narrower is padded with zeros, which leave the nuclear norm ``|.|_*`` unchanged. An
    encoder without any spread has a residual of 1.

    Sources: Schönemann, A generalized solution of the orthogonal Procrustes problem, 1966; Ding et al.,
    Grounding Representation Similarity with Statistical Testing, 2021.

    Example:
        >>> rows = np.eye(4)
        >>> round(procrustes_residual(rows, rows[:, [2, 0, 3, 1]]), 6)
        0.0
    """
    x, y = _scaled(first), _scaled(second)
    explained = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return float(np.clip(1.0 - explained, 0.0, 1.0))


def mutual_knn(first: Rows, second: Rows, k: int = NEIGHBOURS) -> float:
    """Return the share of the k nearest texts by cosine that are common to both encoders.

    The mean over texts, in [0, 1]; unrelated encoders share about ``k / (N - 1)``.

    Source: Huh et al., The Platonic Representation Hypothesis, 2024.

    Args:
        first: `[N, D1]`.
        second: `[N, D2]`, of the same texts.
        k: neighbours; at most N - 1 of them.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(20, 3))
        >>> mutual_knn(rows, 2 * rows)
        1.0
    """
    k = min(k, len(first) - 1)
    first_near, second_near = _nearest(first, k), _nearest(second, k)
    return float(np.mean(np.sum(first_near & second_near, axis=1) / k))


MEASURES: Mapping[str, Measure] = {
    "linear_cka": Measure(
        linear_cka, "Linear CKA", "1: the same up to rotation, scale and shift; 0: unrelated.", 1.0
    ),
    "procrustes": Measure(
        procrustes_residual,
        "Procrustes residual",
        "0: equal up to rotation; 1: no rotation explains anything.",
        0.0,
    ),
    "mutual_knn": Measure(
        mutual_knn,
        "Mutual kNN overlap",
        f"Share of a text's {NEIGHBOURS} nearest neighbours that two agents have in common.",
        1.0,
    ),
}
"""The measures between agents that a run records, all symmetric."""


def pairwise(
    embeddings: Sequence[Rows], measure: Callable[[Rows, Rows], float]
) -> NDArray[np.float64]:
    """Return a symmetric measure between all agents, `[A, A]`.

    Args:
        embeddings: embeddings of each agent, `[N, D]` of the same texts; widths may differ.
        measure: such as `linear_cka`.

    Example:
        >>> pairwise([np.eye(3), 2 * np.eye(3)], linear_cka).round(3).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    count = len(embeddings)
    matrix: NDArray[np.float64] = np.zeros((count, count))
    for i in range(count):
        for j in range(i, count):
            matrix[i, j] = matrix[j, i] = measure(embeddings[i], embeddings[j])
    return matrix


def rotation_onto(first: Rows, second: Rows) -> NDArray[np.float64]:
    """Return the orthogonal `[D, D]` that rotates the first closest to the second, both centred.

    Example:
        >>> rows = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, -2.0]])
        >>> rotated = rows @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        >>> bool(np.allclose(rotated @ rotation_onto(rotated, rows), rows))
        True
    """
    left, _, right = np.linalg.svd(_centred(first).T @ _centred(second))
    rotation: NDArray[np.float64] = left @ right
    return rotation


def _centred(rows: Rows) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    centred: NDArray[np.float64] = wide - wide.mean(axis=0)
    return centred


def _scaled(rows: Rows) -> NDArray[np.float64]:
    centred = _centred(rows)
    norm = np.linalg.norm(centred)
    return centred / norm if norm > 0 else centred


def _nearest(rows: Rows, k: int) -> NDArray[np.bool_]:
    """Return `[N, N]`: whether text j is among the k texts most cosine-similar to text i."""
    unit = unit_rows(rows)
    # Rounded and sorted stably: equal cosines keep the order of the texts.
    cosines = np.round(unit @ unit.T, TIE_DECIMALS)
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    found: NDArray[np.bool_] = np.zeros(cosines.shape, dtype=np.bool_)
    np.put_along_axis(found, nearest, True, axis=1)
    return found
