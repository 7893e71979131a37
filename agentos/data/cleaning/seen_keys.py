"""A set of 64-bit keys in sorted arrays, 8 bytes per key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]


class SeenKeys:
    """A growing set of 64-bit keys, kept in sorted runs that merge as their lengths become similar.

    There are at most about log2(keys) runs, and adding n keys costs O(n log n) overall
    (O'Neil et al., "The Log-Structured Merge-Tree", 1996). A set of Python integers would take ten
    times the memory.

    Example:
        >>> seen = SeenKeys()
        >>> seen.add(np.array([5, 3, 5], dtype=np.uint64)).tolist()
        [True, True, False]
        >>> seen.add(np.array([4, 3], dtype=np.uint64)).tolist()
        [True, False]
    """

    def __init__(self) -> None:
        self._runs: list[Keys] = []

    def add(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Add keys, `[N]`, and return which were new; of equal keys only the first counts as new."""
        new: npt.NDArray[np.bool_] = np.zeros(len(keys), dtype=np.bool_)
        new[np.unique(keys, return_index=True)[1]] = True
        for run in self._runs:  # keys may be above all of a run: compare with its last then
            places = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            new &= run[places] != keys
        if new.any():
            self._runs.append(np.sort(keys[new]))
        # Merged only with runs of similar length, so that each key moves O(log n) times.
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate([before, last]), kind="stable"))
        return new
