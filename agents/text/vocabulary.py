"""Properties of tokens that follow from the vocabulary."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from agents.text.subwords import Subword, subwords
from agents.text.typos import Typos
from agents.text.wordnet import WordNet
from agents.text.words import WordCodec
from protocols.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Vocabulary:
    """Tokens of a tokenizer, with their roles and word boundaries.

    Word boundaries are read from the tokens' names; see `agents.text.subwords`.

    Args:
        tokenizer: words are encoded by a copy, so that other threads may use it.

    Attributes:
        size: number of tokens V.
        special: `[V]` bool, tokens that stand for no text.
        ordinary: ids of all other tokens, ascending.
        mask_id: the mask token; None where the tokenizer has none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.size = len(tokenizer)
        self._names: list[str] = [
            token or "" for token in tokenizer.convert_ids_to_tokens(list(range(self.size)))
        ]
        self.special = np.zeros(self.size, dtype=bool)
        # Tokens added to a tokenizer may have ids beyond the vocabulary.
        self.special[[i for i in tokenizer.all_special_ids if i < self.size]] = True
        self.ordinary = np.flatnonzero(~self.special)
        self.mask_id: int | None = tokenizer.mask_token_id
        self._tokenizer = tokenizer
        self._origin = str(getattr(tokenizer, "name_or_path", "") or "the tokenizer")

    @cached_property
    def begins_word(self) -> np.ndarray:
        """`[V]` bool: tokens that begin a word after any token."""
        return np.array([subword.begins_word for subword in self._subwords], dtype=bool)

    @cached_property
    def _ends_word(self) -> np.ndarray | None:
        """`[V]` bool: tokens, such as a bracket, after which any token begins a word; None for none.

        WordPiece has none, since the name of the following token decides.
        """
        ends = np.array([subword.ends_word for subword in self._subwords], dtype=bool)
        return ends if ends.any() else None

    @cached_property
    def _subwords(self) -> list[Subword]:
        return subwords(self._names)

    @cached_property
    def infill_candidates(self) -> np.ndarray:
        """`[V]` bool: tokens that may replace a word of one token."""
        return self.begins_word & ~self.special

    @cached_property
    def word_codec(self) -> WordCodec:
        """Conversion of single words between tokens and text."""
        return WordCodec(self._tokenizer, self._names, self._subwords, self.special)

    @cached_property
    def typos(self) -> Typos:
        """Misspelt variants of every token."""
        return Typos(self.word_codec)

    @cached_property
    def wordnet(self) -> WordNet:
        """Synonyms from the installed WordNet."""
        return WordNet(self.word_codec)

    def begins(self, tokens: np.ndarray, sentences: np.ndarray | None = None) -> np.ndarray:
        """Return the tokens of a text that begin a word: `[T]` bool, the first true.

        Args:
            tokens: `[T]`, T >= 1.
            sentences: `[S]`, starts of sentences, which are starts of words too.
        """
        begins: np.ndarray = self.begins_word[tokens]
        if self._ends_word is not None:
            begins[1:] |= self._ends_word[tokens[:-1]]
        begins[0] = True
        if sentences is not None:
            begins[sentences] = True
        return begins

    def words(self, tokens: np.ndarray) -> np.ndarray:
        """Return the starts of the words of a text `[W]`: ascending, the first at 0.

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
        """Return the tokenizer's name of a token."""
        return self._names[token]
