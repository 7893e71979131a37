"""From the tokens of a word to its letters and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.text.subwords import BYTE_SPACE, Piece, mark_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def key_of(tokens: np.ndarray) -> bytes:
    """Return tokens as a key of dictionaries; the key of a part is a part of the key.

    Example:
        >>> key_of(np.array([7, 8, 9]))[4:8] == key_of(np.array([8]))
        True
    """
    return tokens.astype(np.int32).tobytes()


class Spelling:
    """Reads and writes single words of a vocabulary.

    Args:
        tokenizer: copied.
        names: of its tokens.
        pieces: what the tokens stand for.
        special: `[V]` bool, tokens that stand for no text.

    Attributes:
        size: number of tokens V.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        names: Sequence[str],
        pieces: Sequence[Piece],
        special: np.ndarray,
    ) -> None:
        self.size = len(names)
        self._names = names
        self._pieces = pieces
        self._special = special
        self._mark = mark_of(names)
        self._ids = {name: index for index, name in enumerate(names)}
        self._encode = _encoder(tokenizer)

    def read(self, word: bytes) -> str | None:
        """Return the letters of a word; None where it is no text, or ends within a character.

        Args:
            word: key of its tokens.
        """
        tokens = np.frombuffer(word, dtype=np.int32)
        if self._special[tokens].any():
            return None
        try:
            return b"".join(self._pieces[token].content for token in tokens).decode()
        except UnicodeDecodeError:
            return None

    def write(self, texts: Sequence[str | None], likes: Sequence[bytes]) -> list[np.ndarray | None]:
        """Return the tokens of words; None where the tokenizer cannot write a word in its place.

        Args:
            texts: the words; None is passed on.
            likes: keys of the words whose places they take: what follows a space there, does so here.
        """
        given = [index for index, text in enumerate(texts) if text]
        marked = [self._pieces[int.from_bytes(likes[i][:4], "little")].marked for i in given]
        lead = " " if self._mark == BYTE_SPACE else ""
        words = [
            (lead if mark else "") + str(texts[i]) for i, mark in zip(given, marked, strict=True)
        ]
        written: list[np.ndarray | None] = [None] * len(texts)
        for index, mark, ids in zip(given, marked, self._encode(words), strict=True):
            written[index] = self._in_place(ids, mark)
        return written

    def _in_place(self, ids: list[int], marked: bool) -> np.ndarray | None:
        """Put the tokenizer's mark on the first token, or take it away, where there is such a token."""
        if ids and self._pieces[ids[0]].marked != marked:
            name = self._names[ids[0]]
            if name == self._mark:
                ids = ids[1:]
            else:
                other = self._mark + name if marked else name.removeprefix(self._mark)
                ids = [self._ids[other], *ids[1:]] if other in self._ids else []
        tokens = np.array(ids, dtype=np.int32)
        return tokens if len(ids) and not self._special[tokens].any() else None


def _encoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[str]], list[list[int]]]:
    """Return a function from texts to tokens that shares nothing with the tokenizer."""
    from tokenizers import Tokenizer

    backend: Any = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return lambda texts: [
        encoding.ids for encoding in backend.encode_batch(texts, add_special_tokens=False)
    ]
