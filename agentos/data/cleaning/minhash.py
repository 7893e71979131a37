"""MinHash signatures of texts.

The resemblance of two documents is the share of their shingles (runs of words) that they have in
common. The smallest value of a random hash over the shingles of each is equal with exactly that
probability, so the share of equal places in two signatures estimates it (Broder, "On the resemblance
and containment of documents", 1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agentos.data.cleaning.config import NearDuplicates
from agentos.data.scripts import LETTER, MARK, kinds
from agentos.data.store.batches import batches
from protocols.seeding import generator

# Raise it when signatures change: cached corpora are keyed by it.
VERSION = 2
PIECE_CHARACTERS = 1 << 16
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""An odd number with well spread bits: 2^64 divided by the golden ratio."""

Signatures = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]


def signatures(texts: Sequence[str], config: NearDuplicates) -> Signatures:
    """Return the MinHash signatures of clean texts, `[N, permutations]`, ignoring case.

    A long text is hashed in pieces, which bounds the memory.
    """
    pieces = [
        (row, text[start : start + PIECE_CHARACTERS])
        for row, text in enumerate(texts)
        for start in range(0, max(1, len(text)), PIECE_CHARACTERS)
    ]
    signed: Signatures = np.full(
        (len(texts), config.permutations), np.iinfo(np.uint32).max, dtype=np.uint32
    )
    for batch in batches(pieces, lambda piece: len(piece[1]), max_characters=PIECE_CHARACTERS):
        rows, parts = zip(*batch, strict=True)
        # The signature of a union is the minimum of the signatures; `at` processes repeated rows one by one.
        np.minimum.at(signed, list(rows), _sign(parts, config))
    return signed


def _sign(texts: Sequence[str], config: NearDuplicates) -> Signatures:
    hashes, starts = shingles(texts, config.shingle_words)
    rng = generator(0, "minhash", config.permutations)
    # x -> a x + b modulo 2^32 with an odd a permutes the 32-bit numbers.
    factors = rng.integers(2**31, size=config.permutations, dtype=np.uint32) * 2 + 1
    shifts = rng.integers(2**32, size=config.permutations, dtype=np.uint32)
    signed: Signatures = np.empty((len(texts), config.permutations), dtype=np.uint32)
    for place, (factor, shift) in enumerate(zip(factors, shifts, strict=True)):
        signed[:, place] = np.minimum.reduceat(hashes * factor + shift, starts)
    return signed


def shingles(texts: Sequence[str], size: int) -> tuple[Signatures, Rows]:
    """Return the hashes of all shingles, and the position at which those of each text begin.

    A text with fewer words than a shingle is one shingle.
    """
    words, counts = word_hashes([text.casefold() for text in texts])
    # Every text gets at least `size` places, short ones padded with zeros, so that one polynomial
    # hash rolls over all texts at once.
    room = np.maximum(counts, size)
    begins: Rows = np.cumsum(room) - room
    padded: npt.NDArray[np.uint64] = np.zeros(int(room.sum()), dtype=np.uint64)
    padded[np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(len(words))] = words
    rolling: npt.NDArray[np.uint64] = np.zeros(max(0, len(padded) - size + 1), dtype=np.uint64)
    for place in range(size):
        rolling *= FACTOR
        rolling += padded[place : place + len(rolling)]
    inside: npt.NDArray[np.bool_] = np.ones(len(padded), dtype=np.bool_)
    for place in range(1, size):  # shingles that reach into the next text
        inside[begins + room - place] = False
    starts: Rows = begins - np.arange(len(texts)) * (size - 1)
    return _mixed(rolling)[inside[: len(rolling)]], starts


def word_hashes(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint64], Rows]:
    r"""Return hashes of the words of clean texts, concatenated, and the word count of each text.

    Words are those of `agentos.data.scripts.words`. The hash of characters \(c_a \ldots c_b\) is
    \(\sum_i c_i F^{i-a}\) modulo 2^64 for an odd F, as a difference of running sums, so that
    no Python loop runs over words (Karp and Rabin, "Efficient randomized pattern-matching algorithms", 1987).

    Example:
        >>> hashes, counts = word_hashes(["red wine", "wine"])
        >>> counts.tolist(), bool(hashes[1] == hashes[2])
        ([2, 1], True)
    """
    joined = "".join([f"{text}\n" for text in texts]).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, dtype="<u4")
    space = codes <= ord(" ")
    begins = ~space & _begins(kinds()[codes], space)
    starts = np.flatnonzero(begins)
    ends = np.flatnonzero(~space[:-1] & (space[1:] | begins[1:])) + 1  # the last one is a space
    powers = np.full(len(codes), FACTOR).cumprod()
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), (codes * powers).cumsum()])
    inverse = np.full(len(codes), pow(int(FACTOR), -1, 2**64), dtype=np.uint64).cumprod()
    hashes = (sums[ends] - sums[starts]) * inverse[starts]
    bounds = np.cumsum([0, *(len(text) + 1 for text in texts)])
    counts: Rows = np.diff(np.searchsorted(starts, bounds)).astype(np.int64)
    return hashes, counts


def _begins(kind: npt.NDArray[np.uint8], space: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return where a word begins among characters that are no spaces, `[characters]`."""
    letter, places = kind == LETTER, np.arange(len(kind))
    # A mark belongs to a letter of a script without spaces if nothing but marks lies between them.
    whole = letter[np.maximum.accumulate(np.where(kind == MARK, 0, places))]
    after_space = np.concatenate([[True], space[:-1]])
    after_letter = np.concatenate([[False], whole[:-1]])
    begins: npt.NDArray[np.bool_] = letter | after_space | (after_letter & ~whole)
    return begins


def _mixed(values: npt.NDArray[np.uint64]) -> Signatures:
    """Spread 64 bits over 32 (the finalizer of MurmurHash3 by Appleby, public domain)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return (values >> np.uint64(32)).astype(np.uint32)
