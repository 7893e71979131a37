r"""Features of pairs of texts, from the embeddings of both: then pairs are classified as texts are.

For embeddings \(u\) and \(v\) of length 1, a symmetric relation (paraphrase, same author) is read from
\(|u - v|\) and \(\sqrt{D}\,u \odot v\), which do not change when the texts are exchanged; a directed one
(entailment) from \(u\) and \(v\) too. The factor gives both blocks like lengths: heads penalise all weights
alike.

Source: Conneau et al., Supervised Learning of Universal Sentence Representations from Natural Language
Inference Data, 2017.

Legend: N pairs, D embedding width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Examples, Labels, Rows, Split
from protocols.errors import ConfigurationError


def pair_features(
    first_ND: NDArray[np.floating], second_ND: NDArray[np.floating], *, symmetric: bool
) -> Rows:
    """Return features `[N, 2 D]` of pairs, or `[N, 4 D]` where their order matters.

    Args:
        first_ND: embeddings of the first texts, of any length; zeros stay zeros.
        second_ND: embeddings of the second texts.
        symmetric: whether the relation is the same in both directions.

    Raises:
        ConfigurationError: the embeddings are not of as many texts, or not of one width.
    """
    if first_ND.shape != second_ND.shape or first_ND.ndim != 2:
        raise ConfigurationError(
            "the two sides of the pairs do not match",
            expected=f"embeddings of shape {list(first_ND.shape)}",
            actual=list(second_ND.shape),
            hint="embed both texts of every pair with one agent, in the same order",
        )
    u_ND, v_ND = _unit(first_ND), _unit(second_ND)
    both = [np.abs(u_ND - v_ND), np.sqrt(u_ND.shape[1]) * (u_ND * v_ND)]
    return np.concatenate(both if symmetric else [u_ND, v_ND, *both], axis=1)


def pair_examples(
    split: Split,
    ids: Labels,
    first_ND: NDArray[np.floating],
    second_ND: NDArray[np.floating],
    *,
    symmetric: bool,
) -> Examples:
    """Return pairs of a split as examples, for the heads, answers, fusions and deferrals of single texts.

    Args:
        split: their purpose.
        ids: `[N]`, one for each pair.
        first_ND: see `pair_features`, as the others.
        second_ND: see `pair_features`.
        symmetric: see `pair_features`.

    Raises:
        ConfigurationError: ids and embeddings do not match.
    """
    features = pair_features(first_ND, second_ND, symmetric=symmetric)
    if len(ids) != len(features):
        raise ConfigurationError(
            "ids and pairs do not match",
            expected=f"{len(features)} ids",
            actual=len(ids),
            hint="give every pair one id",
        )
    return Examples(split, ids, features)


def pair_flops(width: int, *, symmetric: bool) -> float:
    """Return the FLOPs of the features of one pair, without those of the embeddings."""
    return float((10 if symmetric else 12) * width)


def _unit(rows_ND: NDArray[np.floating]) -> Rows:
    rows = rows_ND.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Rows = rows / np.where(lengths > 0, lengths, 1.0)
    return unit
