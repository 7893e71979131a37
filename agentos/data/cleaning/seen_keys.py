"""Which keys were met before: sorted arrays, 8 bytes for each key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]


class SeenKeys:
    """A growing set of 64-bit keys, held in sorted runs that are merged as they get alike in length.

    So there are at most about log2(keys) runs, and adding n keys costs O(n log n) in all
    (O'Neil et al., "The Log-Structured Merge-Tree", 1996). A set of Python numbers would take ten
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
        """Add keys, [N], and say of each whether it was new, the first of equal ones alone."""
        new: npt.NDArray[np.bool_] = np.zeros(len(keys), dtype=np.bool_)
        new[np.unique(keys, return_index=True)[1]] = True
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            new &= run[places] != keys
        if new.any():
            self._runs.append(np.sort(keys[new]))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate([before, last]), kind="stable"))
        return new
