"""Documents as token ids with the starts of their sentences.

Legend: T tokens, S sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike


class Tokens(Protocol):
    """Tokenised documents by row, without special tokens."""

    def __getitem__(self, row: int) -> np.ndarray:
        """Return the token ids `[T]` of one document."""

    def sentences(self, row: int) -> np.ndarray:
        """Return the starts of the sentences of one document `[S]`: ascending, the first at 0."""

    def __len__(self) -> int:
        """Return the number of documents."""


@dataclass(frozen=True)
class Text:
    """Token ids without special tokens.

    Attributes:
        tokens: `[T]`, T >= 1; read-only.
        sentences: `[S]`, starts of the sentences: ascending, the first at 0.
        hidden: `[T]` bool, tokens that keep their place but are not attended to, never all of them; None
            if there are none. If a part of the text has only hidden tokens, they all become visible again.
        infill: `[T]` bool, mask tokens for the agent's own language model to replace; None if there is none.

    Example:
        >>> text = Text(np.array([7, 8, 9, 5, 6]), np.array([0, 3]))
        >>> text.span(2, 5).sentences.tolist(), text.keep(np.array([1, 0, 0, 1, 1])).sentences.tolist()
        ([0, 1], [0, 1])
    """

    tokens: np.ndarray
    sentences: np.ndarray
    hidden: np.ndarray | None = None
    infill: np.ndarray | None = None

    @classmethod
    def of(cls, tokens: np.ndarray) -> Text:
        """Return a text that is one sentence."""
        return cls(tokens, np.zeros(1, dtype=np.int64))

    @classmethod
    def row(cls, tokens: Tokens, row: int) -> Text:
        """Return one document of a store."""
        return cls(tokens[row], tokens.sentences(row))

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.tokens)

    def span(self, start: int, end: int) -> Text:
        """Return the tokens from ``start`` up to ``end``; a sentence cut at its front begins at the cut."""
        first, last = self.sentences.searchsorted((start + 1, end))
        starts = self.sentences[first - 1 : last] - start
        starts[0] = 0  # that sentence begins at the cut, or before it
        return self._part(slice(start, end), starts)

    def keep(self, kept: np.ndarray) -> Text:
        """Return the text without some of its tokens.

        Args:
            kept: `[T]` bool, true at tokens that stay; at least one is. Sentences left empty are removed.
        """
        before = np.cumsum(kept) - kept
        # An empty sentence begins with the next sentence, or at the end of the text, so its length is 0.
        starts = before[self.sentences]
        return self._part(kept, starts[lengths_of(starts, int(kept.sum())) > 0])

    def take(self, places: np.ndarray, sentences: np.ndarray) -> Text:
        """Return the text in another order.

        Args:
            places: `[T]`, the former place of each token.
            sentences: `[S]`, starts of the sentences in the new order.
        """
        return self._part(places, sentences)

    def with_words(
        self, starts: np.ndarray, places: ArrayLike, words: Sequence[np.ndarray]
    ) -> Text:
        """Return the text with some words replaced; tokens at hidden places of a word stay hidden.

        Args:
            starts: `[W]`, starts of all words; each sentence begins with a word.
            places: `[R]`, indices of the replaced words, ascending.
            words: tokens of the R replacements.
        """
        lengths = lengths_of(starts, len(self))
        counts, chosen = lengths.copy(), np.zeros(len(starts), dtype=bool)
        replaced = np.asarray(places, dtype=np.int64)
        counts[replaced], chosen[replaced] = [len(word) for word in words], True
        ends = np.cumsum(counts)
        begins = ends - counts
        # Each new token takes its marks from the same place in the old word, or from the word's last token.
        within = np.arange(ends[-1]) - np.repeat(begins, counts)
        origin = np.repeat(starts, counts) + np.minimum(within, np.repeat(lengths - 1, counts))
        text = self._part(origin, begins[np.searchsorted(starts, self.sentences)])
        text.tokens[np.repeat(chosen, counts)] = np.concatenate(words)
        return text

    def with_tokens(self, tokens: np.ndarray) -> Text:
        """Return the text with other tokens in the same places `[T]`."""
        return replace(self, tokens=tokens)

    def with_hidden(self, hidden: np.ndarray) -> Text:
        """Return the text with these tokens `[T]` hidden in addition to those already hidden."""
        return replace(self, hidden=hidden if self.hidden is None else self.hidden | hidden)

    def with_infill(self, infill: np.ndarray) -> Text:
        """Return the text with these mask tokens `[T]` marked for infilling, in addition to others."""
        return replace(self, infill=infill if self.infill is None else self.infill | infill)

    def _part(self, places: np.ndarray | slice, sentences: np.ndarray) -> Text:
        """Return the tokens at some places, in that order, with their marks."""
        hidden, infill = _some(self.hidden, places), _some(self.infill, places)
        if hidden is not None and hidden.all():
            hidden = None
        return Text(self.tokens[places], sentences, hidden, infill)

    def sentence(self, index: int) -> np.ndarray:
        """Return the token ids of one sentence."""
        ends = np.append(self.sentences[1:], len(self.tokens))
        return self.tokens[self.sentences[index] : ends[index]]


def lengths_of(starts: np.ndarray, end: int) -> np.ndarray:
    """Return the lengths of consecutive parts; the last part ends at `end`.

    `np.diff` with its options takes ten times as long, and views call this for every text.

    Example:
        >>> lengths_of(np.array([0, 2, 5]), 9).tolist()
        [2, 3, 4]
    """
    lengths = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1] = end - starts[-1]
    return lengths


def key_of(tokens: np.ndarray) -> bytes:
    """Return tokens as a dictionary key, four bytes per token, so that slices of it are keys of slices.

    Example:
        >>> key_of(np.array([7, 8, 9]))[4:8] == key_of(np.array([8]))
        True
    """
    return tokens.astype(np.int32).tobytes()


def _some(marks: np.ndarray | None, places: np.ndarray | slice) -> np.ndarray | None:
    """Return the marks of some tokens; None if none of them is marked."""
    part = None if marks is None else marks[places]
    return part if part is not None and part.any() else None
