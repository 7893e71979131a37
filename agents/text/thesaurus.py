"""A distributional thesaurus, learnt without labels: synonyms are words that occur in similar contexts.

Legend: N words, D dimensions of their vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import svds

from agents.text.tokens import Tokens, key_of
from agents.text.vocabulary import Vocabulary
from protocols.seeding import generator

NEAREST = 10
"""Synonyms kept for each word."""
_DOCUMENTS, _TOKENS, _WORDS = 20_000, 2_000_000, 5_000
_RAREST = 10  # occurrences
_WINDOW = 4  # words on either side
_DIMENSIONS = 64
_DENSE = 400  # words up to which the decomposition is dense
_BLOCK = 500  # words whose distances to all others are in memory at once


class Thesaurus:
    """Synonyms by co-occurrence, learnt on first use.

    Counts of words within four words of each other become positive pointwise mutual information, and its
    truncated singular vectors become word vectors, whose nearest neighbours by cosine are the synonyms. The
    most frequent 1 % of the words, such as articles, have none. At most 20,000 documents, two million tokens
    and 5,000 words are used.

    Source: Levy, Goldberg and Dagan, Improving Distributional Similarity with Lessons Learned from Word
    Embeddings, 2015 (context distribution smoothed by 0.75, vectors weighted by the roots of singular
    values).

    Args:
        vocabulary: of the tokens.
        tokens: documents.
        rows: documents to learn from; without any, no word has synonyms.
    """

    def __init__(self, vocabulary: Vocabulary, tokens: Tokens, rows: np.ndarray) -> None:
        self._vocabulary = vocabulary
        self._tokens = tokens
        self._rows = rows
        self._lock = threading.Lock()
        self._synonyms: dict[bytes, Sequence[np.ndarray]] | None = None

    def synonyms(self, word: bytes) -> Sequence[np.ndarray]:
        """Return the tokens of a word's synonyms, the nearest first.

        Args:
            word: key of its tokens; see `agents.text.tokens.key_of`.
        """
        # Threads that prepare batches share the thesaurus: only the first one learns it.
        if self._synonyms is None:
            with self._lock:
                if self._synonyms is None:
                    self._synonyms = self._learn()
        return self._synonyms.get(word, ())

    def _learn(self) -> dict[bytes, Sequence[np.ndarray]]:
        documents = self._sample()
        if not documents:
            return {}
        tokens = np.concatenate(documents)
        lengths = [len(document) for document in documents]
        first = np.cumsum(lengths) - lengths
        starts = np.flatnonzero(self._vocabulary.begins(tokens, first))
        words, sequence = self._frequent(tokens, starts)
        if len(words) < 3:
            return {}
        document = np.searchsorted(first, starts, side="right")
        counts = csr_array((len(words), len(words)))
        for distance in range(1, _WINDOW + 1):
            one, other = sequence[:-distance], sequence[distance:]
            near = (document[:-distance] == document[distance:]) & (one >= 0) & (other >= 0)
            pairs = one[near], other[near]
            counts = counts + csr_array((np.ones(near.sum()), pairs), shape=counts.shape)
        vectors_ND = _vectors(counts + counts.T)
        skipped = len(words) // 100
        nearest = _nearest(vectors_ND[skipped:])
        word_tokens = [np.frombuffer(word, dtype=np.int32) for word in words[skipped:]]
        return {
            word: tuple(word_tokens[index] for index in row)
            for word, row in zip(words[skipped:], nearest, strict=True)
        }

    def _sample(self) -> list[np.ndarray]:
        """Return documents spread evenly over the rows, up to the bounds."""
        rows = self._rows
        if len(rows) > _DOCUMENTS:
            rows = rows[np.linspace(0, len(rows) - 1, _DOCUMENTS).astype(np.int64)]
        documents: list[np.ndarray] = []
        left = _TOKENS
        for row in rows:
            document = self._tokens[int(row)][:left]
            left -= len(document)
            if len(document):
                documents.append(document)
        return documents

    def _frequent(self, tokens: np.ndarray, starts: np.ndarray) -> tuple[list[bytes], np.ndarray]:
        """Return the most frequent words, and the text as indices into them, -1 for other words."""
        hashes = _hashes(tokens, starts)
        _, first, inverse, counts = np.unique(
            hashes, return_index=True, return_inverse=True, return_counts=True
        )
        key, ends = key_of(tokens), np.append(starts[1:], len(tokens))
        words: list[bytes] = []
        numbers: NDArray[np.int64] = np.full(len(counts), -1, dtype=np.int64)
        for kind in np.lexsort((first, -counts)):
            if counts[kind] < _RAREST or len(words) == _WORDS:
                break
            word = key[4 * starts[first[kind]] : 4 * ends[first[kind]]]
            text = self._vocabulary.word_codec.decode(word)
            if text is not None and text.isalpha():
                numbers[kind] = len(words)
                words.append(word)
        return words, numbers[inverse.reshape(-1)]


def _hashes(tokens: np.ndarray, starts: np.ndarray) -> NDArray[np.uint64]:
    """Return a 64-bit hash of every word, computed from its tokens and their places within the word."""
    place = np.arange(len(tokens)) - np.repeat(starts, np.diff(starts, append=len(tokens)))
    rng = generator(0, "thesaurus", "hash")
    draws = rng.integers(2**63, size=int(tokens.max()) + 1, dtype=np.uint64)
    odd = rng.integers(2**63, size=int(place.max()) + 1, dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    # The sum over tokens of a random value of the token times one of its place, modulo 2**64, is computed for
    # all words at once. Odd factors are invertible, so no bit is lost; places make the order count.
    hashes: NDArray[np.uint64] = np.add.reduceat(draws[tokens] * odd[place], starts)
    return hashes


def _vectors(counts: csr_array) -> NDArray[np.float64]:
    """Return word vectors `[N, D]` of length 1, or 0 for a word that co-occurs with no other.

    Args:
        counts: `[N, N]`, symmetric.
    """
    frequency = np.asarray(counts.sum(axis=1)).reshape(-1)
    smoothed = frequency**0.75 / (frequency**0.75).sum()
    pairs = coo_array(counts)
    row, column = pairs.coords
    information = np.log(pairs.data / (frequency[row] * smoothed[column]))
    kept = information > 0
    table = coo_array((information[kept], (row[kept], column[kept])), shape=counts.shape).tocsr()
    size = counts.shape[0]
    if size <= _DENSE:
        left, values, _ = np.linalg.svd(table.toarray())
        left, values = left[:, :_DIMENSIONS], values[:_DIMENSIONS]
    else:
        # A fixed start vector: the solver's own random one would change the result from run to run.
        start = generator(0, "thesaurus", "svd").standard_normal(size)
        left, values, _ = svds(table, k=_DIMENSIONS, v0=start)
    vectors: NDArray[np.float64] = left * np.sqrt(values)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 1e-9, lengths, np.inf)
    return vectors


def _nearest(vectors_ND: NDArray[np.float64]) -> list[np.ndarray]:
    """Return the nearest other words of each word with a positive cosine, the nearest first."""
    nearest: list[np.ndarray] = []
    count = min(NEAREST, len(vectors_ND) - 1)
    for start in range(0, len(vectors_ND), _BLOCK):
        block = vectors_ND[start : start + _BLOCK]
        # Rounded, so that ties do not depend on the order of additions, and so on the number of threads.
        distances = -np.round(block @ vectors_ND.T, 6)
        distances[np.arange(len(block)), np.arange(start, start + len(block))] = 1.0
        # Sorted by index before the stable sort by distance, so that ties come in the order of frequency.
        near = np.sort(np.argpartition(distances, count, axis=1)[:, :count], axis=1)
        found = np.take_along_axis(distances, near, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        close = np.take_along_axis(found, order, axis=1) < 0
        ranked = np.take_along_axis(near, order, axis=1)
        nearest += [row[kept] for row, kept in zip(ranked, close, strict=True)]
    return nearest
