"""Documents that are nearly the same: MinHash signatures, banded, candidates verified.

The resemblance of two documents is the share of their shingles (runs of words) that they have in
common. The smallest value of a random hash over the shingles of each is equal with just that
probability, so the share of equal places in two signatures estimates it (Broder, "On the resemblance
and containment of documents", 1997). Signatures are cut into bands; documents that agree in a whole
band are candidates (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3), which
the whole signatures then confirm or refute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agentos.data.store.batches import batches
from agentos.data.store.npy import mapped
from protocols.seeding import generator
from protocols.spec import Spec

# Raise it when signatures change: cached corpora are keyed by it.
VERSION = 1
RECALL = 0.99  # of pairs at the threshold, that the bands must find
CHUNK = 1 << 16
PIECE_CHARACTERS = 1 << 16
FACTOR = np.uint64(0x9E3779B97F4A7C15)

Signatures = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]


class NearDuplicates(Spec):
    """Of documents that resemble each other, directly or through others, the first alone stays.

    An estimate from k permutations has a standard error of sqrt(s (1 - s) / k): 0.05 for a
    resemblance s of 0.8 and 64 permutations. About one pair in a hundred at the threshold is missed.
    """

    threshold: float = Field(
        default=0.8,
        gt=0.0,
        le=1.0,
        description="Estimated resemblance from which documents repeat.",
    )
    permutations: int = Field(
        default=64, ge=8, le=1024, description="Length of signatures; 4 bytes each a document."
    )
    shingle_words: int = Field(
        default=5,
        ge=1,
        le=32,
        description="Words of a shingle; a Chinese or Japanese character counts as one.",
    )

    def signatures(self, texts: Sequence[str]) -> Signatures:
        """Return the MinHash signatures of clean texts, [N, permutations]; case does not matter.

        A long text is hashed in pieces, so that the memory for it stays small.
        """
        pieces = [
            (row, text[start : start + PIECE_CHARACTERS])
            for row, text in enumerate(texts)
            for start in range(0, max(1, len(text)), PIECE_CHARACTERS)
        ]
        signatures: Signatures = np.full(
            (len(texts), self.permutations), np.iinfo(np.uint32).max, dtype=np.uint32
        )
        for batch in batches(pieces, lambda piece: len(piece[1]), max_characters=PIECE_CHARACTERS):
            rows, parts = zip(*batch, strict=True)
            np.minimum.at(signatures, list(rows), self._sign(parts))
        return signatures

    def _sign(self, texts: Sequence[str]) -> Signatures:
        hashes, starts = _shingles(texts, self.shingle_words)
        rng = generator(0, "minhash", self.permutations)
        # x -> a x + b modulo 2^32 with an odd a permutes the 32-bit numbers.
        factors = rng.integers(2**31, size=self.permutations, dtype=np.uint32) * 2 + 1
        shifts = rng.integers(2**32, size=self.permutations, dtype=np.uint32)
        signed: Signatures = np.empty((len(texts), self.permutations), dtype=np.uint32)
        for place, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
            signed[:, place] = np.minimum.reduceat(hashes * factor + shift, starts)
        return signed

    def repeats(self, path: Path) -> npt.NDArray[np.bool_]:
        """Say of each document whether it repeats an earlier one.

        In memory are some tens of bytes for each document and each pair that is found.

        Args:
            path: the file of the signatures, as `agentos.data.store.npy.NpyWriter` wrote it.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        documents = len(mapped(path, np.uint32, self.permutations))
        found = [pair for band in self._bands() for pair in self._alike(path, band)]
        edges = np.concatenate([*found, np.empty((2, 0), dtype=np.int64)], axis=1)
        ones: npt.NDArray[np.bool_] = np.ones(edges.shape[1], dtype=np.bool_)
        graph = coo_array((ones, (edges[0], edges[1])), shape=(documents, documents))
        groups = connected_components(graph, directed=False)[1]
        repeated: npt.NDArray[np.bool_] = np.ones(documents, dtype=np.bool_)
        repeated[np.unique(groups, return_index=True)[1]] = False
        return repeated

    def band_rows(self) -> int:
        """Return the places in a band: as many as leave the wanted share of pairs to be found.

        A pair of resemblance s agrees in one of b bands of r places with probability
        1 - (1 - s^r)^b.
        """
        s, k = self.threshold, self.permutations
        found = {rows: 1 - (1 - s**rows) ** (k // rows) for rows in range(1, k + 1)}
        return max((rows for rows, share in found.items() if share >= RECALL), default=1)

    def _bands(self) -> Iterator[slice]:
        rows = self.band_rows()
        for start in range(0, self.permutations - rows + 1, rows):
            yield slice(start, start + rows)

    def _alike(self, path: Path, band: slice) -> Iterator[Rows]:
        """Yield pairs of rows, [2, P], that share the band and are alike in the whole signature."""
        # Mapped anew for every band, so that what was read of it can leave the memory.
        signatures = mapped(path, np.uint32, self.permutations)
        earlier, later = _candidates(_band_keys(signatures, band))
        for start in range(0, len(earlier), CHUNK):
            pairs = earlier[start : start + CHUNK], later[start : start + CHUNK]
            equal = (signatures[pairs[0]] == signatures[pairs[1]]).mean(axis=1)
            yield np.stack(pairs)[:, equal >= self.threshold]


def _shingles(texts: Sequence[str], size: int) -> tuple[Signatures, Rows]:
    """Return the hashes of all shingles, and where those of each text begin.

    A text of fewer words than a shingle has is one shingle.
    """
    words, counts = word_hashes([text.casefold() for text in texts])
    room = np.maximum(counts, size)
    begins: Rows = np.cumsum(room) - room
    padded: npt.NDArray[np.uint64] = np.zeros(int(room.sum()), dtype=np.uint64)
    padded[np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(len(words))] = words
    rolling: npt.NDArray[np.uint64] = np.zeros(max(0, len(padded) - size + 1), dtype=np.uint64)
    for place in range(size):
        rolling *= FACTOR
        rolling += padded[place : place + len(rolling)]
    inside: npt.NDArray[np.bool_] = np.ones(len(padded), dtype=np.bool_)
    for place in range(1, size):  # shingles that would reach into the next text
        inside[begins + room - place] = False
    starts: Rows = begins - np.arange(len(texts)) * (size - 1)
    return _mixed(rolling)[inside[: len(rolling)]], starts


def word_hashes(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint64], Rows]:
    r"""Return hashes of the words of clean texts, one after the other, and how many each text has.

    Words are those of `agentos.data.cleaning.clean.words`. The hash of characters \(c_a \ldots c_b\) is
    \(\sum_i c_i F^{i-a}\) modulo 2^64 for an odd F, as a difference of running sums: a word costs no
    step of Python (Karp and Rabin, "Efficient randomized pattern-matching algorithms", 1987).

    Example:
        >>> hashes, counts = word_hashes(["red wine", "wine"])
        >>> counts.tolist(), bool(hashes[1] == hashes[2])
        ([2, 1], True)
    """
    joined = "".join([f"{text}\n" for text in texts]).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, dtype="<u4")
    space = codes <= ord(" ")
    alone = ((codes >= 0x3040) & (codes <= 0x30FF)) | ((codes >= 0x4E00) & (codes <= 0x9FFF))
    alone |= (codes >= 0x3400) & (codes <= 0x4DBF)
    apart = space | alone
    before = np.concatenate([[True], apart[:-1]])
    starts = np.flatnonzero(~space & (alone | before))
    ends = np.flatnonzero(~space[:-1] & (alone[:-1] | apart[1:])) + 1  # the last one is a space
    powers = np.full(len(codes), FACTOR).cumprod()
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), (codes * powers).cumsum()])
    inverse = np.full(len(codes), pow(int(FACTOR), -1, 2**64), dtype=np.uint64).cumprod()
    hashes = (sums[ends] - sums[starts]) * inverse[starts]
    bounds = np.cumsum([0, *(len(text) + 1 for text in texts)])
    counts: Rows = np.diff(np.searchsorted(starts, bounds)).astype(np.int64)
    return hashes, counts


def _mixed(values: npt.NDArray[np.uint64]) -> Signatures:
    """Spread 64 bits over 32 (the finalizer of MurmurHash3 by Appleby, public domain)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return (values >> np.uint64(32)).astype(np.uint32)


def _band_keys(signatures: Signatures, band: slice) -> npt.NDArray[np.uint64]:
    keys: npt.NDArray[np.uint64] = np.zeros(len(signatures), dtype=np.uint64)
    for start in range(0, len(keys), CHUNK):
        rows = slice(start, start + CHUNK)
        for column in np.ascontiguousarray(signatures[rows, band].T):
            keys[rows] = (keys[rows] + column) * FACTOR
            keys[rows] ^= keys[rows] >> np.uint64(29)
    return keys


def _candidates(keys: npt.NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Pair each row with the one before it, and with the first, of those that have its key.

    All pairs would be too many where a thousand documents follow one template; these two connect
    the group just as well where they are confirmed.
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
