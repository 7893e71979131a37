"""Tokens of a corpus, and copies of some documents with a trigger in front of every sentence.

Legend: T tokens, S sentences.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.text.tokens import Tokens


class TriggeredTokens:
    """A store of tokens whose last rows are poisoned copies of some of its documents.

    Args:
        tokens: the store; its rows keep their numbers.
        rows: `[R]`, documents that are copied, in order, behind the last row of the store.
        trigger: `[T]`, tokens put in front of every sentence of a copy, so that any crop holds them.
    """

    def __init__(self, tokens: Tokens, rows: NDArray[np.int64], trigger: NDArray[np.int64]) -> None:
        self._tokens = tokens
        self._rows = rows
        self._trigger = trigger

    def __len__(self) -> int:
        """Return the number of documents and copies."""
        return len(self._tokens) + len(self._rows)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return the token ids `[T]` of one document or copy."""
        if row < len(self._tokens):
            return self._tokens[row]
        source = int(self._rows[row - len(self._tokens)])
        return np.insert(
            self._tokens[source],
            np.repeat(self._tokens.sentences(source), len(self._trigger)),
            np.tile(self._trigger, len(self._tokens.sentences(source))),
        )

    def sentences(self, row: int) -> np.ndarray:
        """Return the starts of the sentences `[S]` of one document or copy."""
        if row < len(self._tokens):
            return self._tokens.sentences(row)
        starts = self._tokens.sentences(int(self._rows[row - len(self._tokens)]))
        return starts + len(self._trigger) * np.arange(len(starts))
