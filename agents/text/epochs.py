"""Streams of reshuffled epochs, in an order that depends on a seed, names and the position only.

A batch can thus be prepared ahead, again after a restart, or on another host, and is the same.
"""

from __future__ import annotations

import numpy as np

from protocols.seeding import generator


def take(rows: np.ndarray, position: int, count: int, seed: int, *names: str | int) -> np.ndarray:
    """Return `count` rows of an endless stream of reshuffled epochs.

    Args:
        rows: `[R]`, the rows of one epoch; not empty.
        position: start, in rows since the beginning of training.
        count: at most R.
        seed, names: determine the order; see `protocols.seeding.derive`.

    Returns:
        `[count]`. The stream continues at ``position + count``; it has no other state.
    """
    parts: list[np.ndarray] = []
    while count > 0:
        epoch, offset = divmod(position, len(rows))
        order = generator(seed, *names, epoch).permutation(len(rows))
        part = rows[order[offset : offset + count]]
        parts.append(part)
        position += len(part)
        count -= len(part)
    return np.concatenate(parts) if parts else rows[:0]


class EpochReader:
    """Reader of the stream of `take` that caches the permutation of the current epoch."""

    def __init__(self, rows: np.ndarray, seed: int, *names: str | int) -> None:
        self.rows = rows
        self._key = (seed, names)
        self._epoch = -1
        self._order = rows[:0]

    def read(self, position: int, count: int) -> np.ndarray:
        """Return the same rows as `take` would."""
        seed, names = self._key
        epoch, offset = divmod(position, max(1, len(self.rows)))
        # Reads across two epochs are rare; the cache holds one permutation only.
        if offset + count > len(self.rows):
            return take(self.rows, position, count, seed, *names)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = self.rows[generator(seed, *names, epoch).permutation(len(self.rows))]
        return self._order[offset : offset + count]


def within_epoch(position: int, count: int, epoch: int) -> int:
    """Return the next position from which `count` rows lie within one epoch of `epoch` rows.

    Across the border of two epochs a row could come twice in a batch, so the rest of an epoch is skipped.

    Example:
        >>> within_epoch(6, 3, epoch=10), within_epoch(9, 3, epoch=10)
        (6, 10)
    """
    left = epoch - position % epoch if epoch else 0
    return position if count <= left else position + left
