"""Near duplicates among documents: banded MinHash signatures, with candidates verified.

Signatures are cut into bands; documents that agree in a whole band are candidates (Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", chapter 3), which the whole signatures then confirm or refute.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from agentos.data.cleaning.config import NearDuplicates
from agentos.data.cleaning.minhash import FACTOR, Rows, Signatures
from agentos.data.store.npy import mapped

RECALL = 0.99
"""Share of the pairs at the threshold that the bands must find."""

CHUNK = 1 << 16


def repeats(path: Path, config: NearDuplicates) -> npt.NDArray[np.bool_]:
    """Return which documents repeat an earlier document, `[documents]`; see `groups_of`."""
    groups = groups_of(path, config)
    # All but the first row of each group.
    repeated: npt.NDArray[np.bool_] = np.ones(len(groups), dtype=np.bool_)
    repeated[np.unique(groups, return_index=True)[1]] = False
    return repeated


def groups_of(path: Path, config: NearDuplicates) -> Rows:
    """Return the group of each document, `[documents]`: equal numbers for near duplicates.

    Memory holds some tens of bytes for each document and each pair found.

    Args:
        path: the file of the signatures, as `agentos.data.store.npy.NpyWriter` wrote it.
        config: the threshold, and the length of signatures.
    """
    documents = len(mapped(path, np.uint32, config.permutations))
    found = [pair for band in _bands(config) for pair in _similar_pairs(path, band, config)]
    edges = np.concatenate([*found, np.empty((2, 0), dtype=np.int64)], axis=1)
    ones: npt.NDArray[np.bool_] = np.ones(edges.shape[1], dtype=np.bool_)
    graph = coo_array((ones, (edges[0], edges[1])), shape=(documents, documents))
    groups: Rows = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


def band_rows(config: NearDuplicates) -> int:
    """Return the places in a band: as many as still find `RECALL` of the pairs at the threshold.

    A pair of resemblance s agrees in one of b bands of r places with probability
    1 - (1 - s^r)^b.
    """
    s, k = config.threshold, config.permutations
    found = {rows: 1 - (1 - s**rows) ** (k // rows) for rows in range(1, k + 1)}
    return max((rows for rows, share in found.items() if share >= RECALL), default=1)


def _bands(config: NearDuplicates) -> Iterator[slice]:
    rows = band_rows(config)
    for start in range(0, config.permutations - rows + 1, rows):
        yield slice(start, start + rows)


def _similar_pairs(path: Path, band: slice, config: NearDuplicates) -> Iterator[Rows]:
    """Yield pairs of rows, `[2, P]`, that share the band and whose whole signatures are similar."""
    # Mapped anew for every band, so that its pages can leave the memory.
    signatures = mapped(path, np.uint32, config.permutations)
    earlier, later = _candidates(_band_keys(signatures, band))
    for start in range(0, len(earlier), CHUNK):
        pairs = earlier[start : start + CHUNK], later[start : start + CHUNK]
        equal = (signatures[pairs[0]] == signatures[pairs[1]]).mean(axis=1)
        yield np.stack(pairs)[:, equal >= config.threshold]


def _band_keys(signatures: Signatures, band: slice) -> npt.NDArray[np.uint64]:
    """Return one 64-bit key per row that rows with the same band share.

    Different bands share a key with negligible probability, and candidates are verified anyway.
    """
    keys: npt.NDArray[np.uint64] = np.zeros(len(signatures), dtype=np.uint64)
    for start in range(0, len(keys), CHUNK):
        rows = slice(start, start + CHUNK)
        for column in np.ascontiguousarray(signatures[rows, band].T):
            keys[rows] = (keys[rows] + column) * FACTOR
            keys[rows] ^= keys[rows] >> np.uint64(29)
    return keys


def _candidates(keys: npt.NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Pair each row with the previous and with the first row that have the same key.

    All pairs would be too many if a thousand documents follow one template; these two, once
    confirmed, connect the group just as well.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    leader = first[np.searchsorted(first, again, side="right") - 1]
    apart = leader < again - 1
    earlier: Rows = order[np.concatenate([again - 1, leader[apart]])]
    later: Rows = order[np.concatenate([again, again[apart]])]
    return earlier, later
