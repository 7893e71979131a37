"""The words of a text, and the tokens that each is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.loaded_encoder import LoadedEncoder
from protocols.errors import DataError


@dataclass(frozen=True)
class Word:
    """A word as the tokenizer separates words, punctuation included.

    Attributes:
        start, end: its characters, ``text[start:end]``.
        tokens: indices of its tokens, special tokens not counted.
    """

    start: int
    end: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Words:
    """A text cut into words.

    Attributes:
        text: the text.
        ids: `[T]` int64, its tokens without special ones, cut at the encoder's length.
        words: its words in order; each token belongs to one.
    """

    text: str
    ids: NDArray[np.int64]
    words: tuple[Word, ...]

    def without(self, removed: Sequence[int]) -> NDArray[np.int64]:
        """Return the tokens of the text without some of its words."""
        gone = [token for word in removed for token in self.words[word].tokens]
        return np.delete(self.ids, gone)

    def of_words(self, values_T: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values of tokens `[T]` into values of words `[W]`."""
        return np.array([values_T[list(word.tokens)].sum() for word in self.words])

    def spelling(self, word: int) -> str:
        """Return a word's characters."""
        return self.text[self.words[word].start : self.words[word].end]


def words_of(encoder: LoadedEncoder, text: str) -> Words:
    """Cut a text into the words of an encoder's tokenizer; words past the encoder's length are left out.

    Raises:
        DataError: nothing of the text becomes a token.
    """
    budget = encoder.collate.budget
    tokenizer = encoder.tokenizer
    encoded = tokenizer(
        text,
        add_special_tokens=False,
        truncation=True,
        max_length=budget,
        return_offsets_mapping=tokenizer.is_fast,
    )
    ids = np.asarray(encoded["input_ids"], dtype=np.int64)
    if not len(ids):
        raise DataError(
            "there is nothing to explain",
            expected="a text of at least one word",
            actual=repr(text[:40]),
        )
    words = _fast(encoded, text) if tokenizer.is_fast else _slow(tokenizer, ids, text)
    return Words(text, ids, words)


def _fast(encoded: Any, text: str) -> tuple[Word, ...]:
    """Group the tokens of a fast tokenizer by the word that it says they are of."""
    groups: dict[int, list[int]] = {}
    for token, word in enumerate(encoded.word_ids()):
        # A token that belongs to no word, such as one that the vocabulary lists whole, is a word of its own.
        groups.setdefault(-1 - token if word is None else word, []).append(token)
    offsets = encoded["offset_mapping"]
    words = []
    for tokens in groups.values():
        start, end = offsets[tokens[0]][0], offsets[tokens[-1]][1]
        spaces = len(text[start:end]) - len(
            text[start:end].lstrip()
        )  # byte-level words begin with theirs
        words.append(Word(start + spaces, end, tuple(tokens)))
    return tuple(words)


def _slow(tokenizer: Any, ids: NDArray[np.int64], text: str) -> tuple[Word, ...]:
    """Find each token of a tokenizer without offsets in the text, from left to right."""
    words, place, lowered = [], 0, text.lower()
    for token, id in enumerate(ids.tolist()):
        spelling = tokenizer.decode([id]).strip().lower()
        found = lowered.find(spelling, place) if spelling else -1
        start = place if found < 0 else found
        end = start if found < 0 else start + len(spelling)
        words.append(Word(start, end, (token,)))
        place = end
    return tuple(words)
