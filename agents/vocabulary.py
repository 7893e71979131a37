"""What can be known about a token from the vocabulary alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from protocols.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SPACE_MARKS = ("Ġ", "▁")
_CONTINUATION = "##"


class Vocabulary:
    """The tokens of a tokenizer: which begin a word, which are special, which masks.

    WordPiece marks what continues a word (``##``), byte-level BPE and SentencePiece what follows a space
    (``Ġ``, ``▁``). Scripts without spaces have no such marks: there every character, or what the
    tokenizer made of a few, counts as a word.

    Args:
        tokenizer: read once; not kept.

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
        self._origin = str(getattr(tokenizer, "name_or_path", "") or "the tokenizer")

    @cached_property
    def begins_word(self) -> np.ndarray:
        """`[V]` bool: whether a token begins a word."""
        names = self._names
        if any(name.startswith(_SPACE_MARKS) for name in names):
            flags = [name.startswith(_SPACE_MARKS) or _stands_alone(name) for name in names]
        else:
            flags = [
                not name.startswith(_CONTINUATION) or _stands_alone(name[2:]) for name in names
            ]
        return np.array(flags, dtype=bool)

    def words(self, tokens: np.ndarray) -> np.ndarray:
        """Return where the words of a text begin, `[W]`: ascending, the first at 0.

        Args:
            tokens: `[T]`, T >= 1.
        """
        begins = self.begins_word[tokens]
        begins[0] = True
        return np.flatnonzero(begins)

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
                mend="use an objective that masks nothing, or add the token and train the tokenizer again",
            )
        return self.mask_id

    def name(self, token: int) -> str:
        """Return a token as the tokenizer writes it."""
        return self._names[token]


def _stands_alone(name: str) -> bool:
    """Whether a token is of a script that is written without spaces."""
    text = name.lstrip("".join(_SPACE_MARKS))
    return bool(text) and all(
        "\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" or "\u0e00" <= c <= "\u0eff"
        for c in text
    )
