"""What can be known about a token from the vocabulary alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from agents.text.subwords import Piece, pieces
from agents.text.typos import Typos
from agents.text.wordnet import WordNet
from agents.text.words import Spelling
from protocols.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Vocabulary:
    """The tokens of a tokenizer: which begin a word, which are special, which masks.

    Where words begin is read from the tokens' names; see `agents.text.subwords`.

    Args:
        tokenizer: its words are spelt by a copy, so that other threads may use it.

    Attributes:
        size: number of tokens V.
        special: `[V]` bool, tokens that stand for no text.
        ordinary: ids of all other tokens, ascending.
        begins_word: `[V]` bool.
        mask_id: the token that hides another; None where the tokenizer has none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.size = len(tokenizer)
        self._names: list[str] = [
            token or "" for token in tokenizer.convert_ids_to_tokens(list(range(self.size)))
        ]
        self.special = np.zeros(self.size, dtype=bool)
        self.special[[i for i in tokenizer.all_special_ids if i < self.size]] = True
        self.ordinary = np.flatnonzero(~self.special)
        self.mask_id: int | None = tokenizer.mask_token_id
        self._tokenizer = tokenizer
        self._origin = str(getattr(tokenizer, "name_or_path", "") or "the tokenizer")

    @cached_property
    def begins_word(self) -> np.ndarray:
        """`[V]` bool: whether a token begins a word, whatever is before it."""
        return np.array([piece.opens for piece in self._pieces], dtype=bool)

    @cached_property
    def _ends_word(self) -> np.ndarray | None:
        """`[V]` bool: whether what follows a token begins a word, such as what follows a bracket.

        None where the names of tokens that follow tell it.
        """
        ends = np.array([piece.closes for piece in self._pieces], dtype=bool)
        return ends if ends.any() else None

    @cached_property
    def _pieces(self) -> list[Piece]:
        return pieces(self._names)

    @cached_property
    def fillers(self) -> np.ndarray:
        """`[V]` bool: tokens that may stand in the place of a word of one token."""
        return self.begins_word & ~self.special

    @cached_property
    def spelling(self) -> Spelling:
        """From the tokens of a word to its letters and back."""
        return Spelling(self._tokenizer, self._names, self._pieces, self.special)

    @cached_property
    def typos(self) -> Typos:
        """Misspelt words."""
        return Typos(self.spelling)

    @cached_property
    def wordnet(self) -> WordNet:
        """Synonyms of the WordNet that is installed."""
        return WordNet(self.spelling)

    def begins(self, tokens: np.ndarray, sentences: np.ndarray | None = None) -> np.ndarray:
        """Return at which tokens of a text words begin: `[T]` bool, the first true.

        Args:
            tokens: `[T]`, T >= 1.
            sentences: `[S]`, where sentences, and so words, begin.
        """
        begins: np.ndarray = self.begins_word[tokens]
        if self._ends_word is not None:
            begins[1:] |= self._ends_word[tokens[:-1]]
        begins[0] = True
        if sentences is not None:
            begins[sentences] = True
        return begins

    def words(self, tokens: np.ndarray) -> np.ndarray:
        """Return where the words of a text begin, `[W]`: ascending, the first at 0.

        Args:
            tokens: `[T]`, T >= 1.
        """
        return np.flatnonzero(self.begins(tokens))

    def mask(self) -> int:
        """Return the mask token.

        Raises:
            ModelError: the tokenizer has none.
        """
        if self.mask_id is None:
            raise ModelError(
                f"{self._origin} has no mask token",
                expected="a tokenizer with mask_token",
                actual="none",
                hint="use an objective that masks nothing, or add the token and train the tokenizer again",
            )
        return self.mask_id

    def name(self, token: int) -> str:
        """Return a token as the tokenizer writes it."""
        return self._names[token]
