"""A document as token ids, and where its sentences begin.

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
        """Return where the sentences of one document begin, `[S]`: ascending, the first at 0."""

    def __len__(self) -> int:
        """Return the number of documents."""


@dataclass(frozen=True)
class Text:
    """Token ids without special tokens.

    Attributes:
        tokens: `[T]`, T >= 1; not to be written to.
        sentences: `[S]`, the tokens at which sentences begin: ascending, the first at 0.
        hidden: `[T]` bool, tokens that keep their place but are not attended to, never all of them; None
            for none. A part of which all would be hidden is seen again.
        blank: `[T]` bool, masks that the agent's own language model is to fill in; None for none.

    Example:
        >>> text = Text(np.array([7, 8, 9, 5, 6]), np.array([0, 3]))
        >>> text.span(2, 5).sentences.tolist(), text.keep(np.array([1, 0, 0, 1, 1])).sentences.tolist()
        ([0, 1], [0, 1])
    """

    tokens: np.ndarray
    sentences: np.ndarray
    hidden: np.ndarray | None = None
    blank: np.ndarray | None = None

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
        """Return the tokens ``start`` to ``end``; a sentence that was cut begins at the cut."""
        inner = self.sentences[(self.sentences > start) & (self.sentences < end)] - start
        return self._part(slice(start, end), np.concatenate([[0], inner]))

    def keep(self, kept: np.ndarray) -> Text:
        """Return the text without some of its tokens.

        Args:
            kept: `[T]` bool, true at tokens that stay; at least one of them. A sentence of which nothing
                stays is gone.
        """
        before = np.cumsum(kept) - kept
        # Sentences of which nothing is left begin where the next one does, or at the very end.
        starts = before[self.sentences]
        return self._part(kept, starts[lengths_of(starts, int(kept.sum())) > 0])

    def take(self, places: np.ndarray, sentences: np.ndarray) -> Text:
        """Return the text in another order.

        Args:
            places: `[T]`, where each token stood.
            sentences: `[S]`, where sentences begin afterwards.
        """
        return self._part(places, sentences)

    def with_words(
        self, starts: np.ndarray, places: ArrayLike, words: Sequence[np.ndarray]
    ) -> Text:
        """Return the text with other words in the place of some; what was hidden of a word stays so.

        Args:
            starts: `[W]`, where all words begin; sentences begin with a word.
            places: `[R]`, which words are replaced, ascending.
            words: tokens of the R words that take their places.
        """
        lengths = lengths_of(starts, len(self))
        counts, chosen = lengths.copy(), np.zeros(len(starts), dtype=bool)
        replaced = np.asarray(places, dtype=np.int64)
        counts[replaced], chosen[replaced] = [len(word) for word in words], True
        ends = np.cumsum(counts)
        begins = ends - counts
        # Of each word as many tokens as there will be; a longer one repeats its last.
        within = np.arange(ends[-1]) - np.repeat(begins, counts)
        origin = np.repeat(starts, counts) + np.minimum(within, np.repeat(lengths - 1, counts))
        text = self._part(origin, begins[np.searchsorted(starts, self.sentences)])
        text.tokens[np.repeat(chosen, counts)] = np.concatenate(words)
        return text

    def with_tokens(self, tokens: np.ndarray) -> Text:
        """Return the text with other tokens in the same places `[T]`."""
        return replace(self, tokens=tokens)

    def with_hidden(self, hidden: np.ndarray) -> Text:
        """Return the text with these tokens `[T]` hidden, besides those that were."""
        return replace(self, hidden=hidden if self.hidden is None else self.hidden | hidden)

    def with_blank(self, blank: np.ndarray) -> Text:
        """Return the text with these tokens `[T]`, which are masks, to be filled in, besides others."""
        return replace(self, blank=blank if self.blank is None else self.blank | blank)

    def _part(self, places: np.ndarray | slice, sentences: np.ndarray) -> Text:
        """Return some tokens, in a given order, with their marks."""
        hidden, blank = _some(self.hidden, places), _some(self.blank, places)
        if hidden is not None and hidden.all():
            hidden = None
        return Text(self.tokens[places], sentences, hidden, blank)

    def sentence(self, index: int) -> np.ndarray:
        """Return the token ids of one sentence."""
        ends = np.append(self.sentences[1:], len(self.tokens))
        return self.tokens[self.sentences[index] : ends[index]]


def lengths_of(starts: np.ndarray, end: int) -> np.ndarray:
    """Return how long parts are that begin here, the last up to the end; `np.diff` is ten times slower.

    Example:
        >>> lengths_of(np.array([0, 2, 5]), 9).tolist()
        [2, 3, 4]
    """
    lengths = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1] = end - starts[-1]
    return lengths


def _some(marks: np.ndarray | None, places: np.ndarray | slice) -> np.ndarray | None:
    """Return which tokens of a part are marked; None where that would be none of them."""
    part = None if marks is None else marks[places]
    return part if part is not None and part.any() else None
