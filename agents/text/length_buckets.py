"""Less padding: a batch is cut into buckets of like length, each of which is padded to its own longest text.

Legend: B texts, K lengths that differ.
"""

from __future__ import annotations

import numpy as np

_PASS = 16384
"""Tokens times width that cost as much as a pass. On one core, the gradient included, encoders of width 64,
128 and 256 took as long for a pass, besides its tokens, as for 320, 108 and 60 tokens."""


def pass_tokens(width: int) -> int:
    """Return how many tokens cost a CPU as much as a pass through an encoder costs besides its tokens.

    It is an estimate and not a measurement, so that the same run is divided alike wherever it goes on.

    Args:
        width: of the backbone.

    Example:
        >>> pass_tokens(128)
        128
    """
    return max(1, _PASS // width)


def buckets(lengths: np.ndarray, pass_tokens: int) -> list[np.ndarray]:
    """Divide texts into the buckets whose padded tokens and passes together cost least.

    The minimum of ``sum over buckets of (texts * longest + pass_tokens)``. Some least division never parts
    texts of one length and never lets two buckets overlap, so it is found by dynamic programming over the
    lengths in their order: what ends at the k-th costs least with the best last cut before it.

    Args:
        lengths: `[B]` tokens of each text.
        pass_tokens: what a bucket costs besides its tokens, at least 1.

    Returns:
        Rows of each bucket, shorter texts first; together all rows, each once.

    Example:
        >>> [rows.tolist() for rows in buckets(np.array([9, 2, 8, 2]), pass_tokens=3)]
        [[1, 3], [2, 0]]
        >>> [rows.tolist() for rows in buckets(np.array([9, 2, 8, 2]), pass_tokens=30)]
        [[1, 3, 2, 0]]
    """
    longest_K, counts_K = np.unique(lengths, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts_K)])  # texts shorter than the k-th length
    least = np.zeros(len(before), dtype=np.int64)
    cut = np.zeros(len(before), dtype=np.int64)
    for end in range(1, len(before)):
        padded = (before[end] - before[:end]) * longest_K[end - 1]
        costs = least[:end] + padded + pass_tokens
        cut[end] = costs.argmin()
        least[end] = costs[cut[end]]
    ends = [len(longest_K)]
    while ends[-1] > 0:
        ends.append(int(cut[ends[-1]]))
    order = np.argsort(lengths, kind="stable")
    return np.split(order, before[ends[-2:0:-1]])
