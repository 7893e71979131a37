"""Division of a batch into buckets of similar length, each padded to its own longest text.

The gain in steps per second is measured by ``experiments.benchmarks.steps.padding``.

Legend: B texts, K distinct lengths.
"""

from __future__ import annotations

import numpy as np

_PASS = 16384
"""Fixed cost of a pass, in tokens times width. On one core, the gradient included, encoders of width
64, 128 and 256 took 320, 108 and 60 tokens' time for a pass in addition to its tokens."""


def pass_tokens(width: int) -> int:
    """Return the fixed cost of a pass through an encoder on a CPU, in tokens.

    An estimate instead of a measurement, so that a run divides its batches alike on every machine.

    Args:
        width: the backbone's width.

    Example:
        >>> pass_tokens(128)
        128
    """
    return max(1, _PASS // width)


def buckets(lengths: np.ndarray, pass_tokens: int) -> list[np.ndarray]:
    """Divide texts into the buckets whose padded tokens and passes cost least in total.

    Minimises ``sum over buckets of (texts * longest + pass_tokens)``. Some optimal division keeps texts of
    one length together and its buckets are ranges of lengths, so dynamic programming over the sorted lengths
    finds it: the cost up to the k-th length is the least over all places of the last cut before it.

    Args:
        lengths: `[B]` tokens of each text.
        pass_tokens: fixed cost of a bucket in tokens, at least 1.

    Returns:
        Rows of each bucket, shorter texts first; together all rows, each once.

    Example:
        >>> [rows.tolist() for rows in buckets(np.array([9, 2, 8, 2]), pass_tokens=3)]
        [[1, 3], [2, 0]]
        >>> [rows.tolist() for rows in buckets(np.array([9, 2, 8, 2]), pass_tokens=30)]
        [[1, 3, 2, 0]]
    """
    longest_K, counts_K = np.unique(lengths, return_counts=True)
    before = np.concatenate(
        [[0], np.cumsum(counts_K)]
    )  # number of texts shorter than the k-th length
    least = np.zeros(len(before), dtype=np.int64)
    cut = np.zeros(len(before), dtype=np.int64)
    for end in range(1, len(before)):
        padded = (before[end] - before[:end]) * longest_K[end - 1]
        # One candidate per last cut: the best division before it, and one bucket from there to the end.
        costs = least[:end] + padded + pass_tokens
        cut[end] = costs.argmin()
        least[end] = costs[cut[end]]
    ends = [len(longest_K)]
    while ends[-1] > 0:
        ends.append(int(cut[ends[-1]]))
    order = np.argsort(lengths, kind="stable")
    return np.split(order, before[ends[-2:0:-1]])
