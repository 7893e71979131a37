"""Conversion of single words between tokens and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.text.subwords import BYTE_SPACE, Subword, marker_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class WordCodec:
    """Decodes the tokens of a word into text, and encodes text into tokens that fit a word's place.

    A tokenizer encodes a word differently at the start of a text, after a space and after punctuation. A
    replacement must have the form of the word that it replaces.

    Args:
        tokenizer: copied.
        names: names of its tokens.
        subwords: the parsed names.
        special: `[V]` bool, tokens that stand for no text.

    Attributes:
        size: number of tokens V.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        names: Sequence[str],
        subwords: Sequence[Subword],
        special: np.ndarray,
    ) -> None:
        self.size = len(names)
        self._names = names
        self._subwords = subwords
        self._special = special
        self._marker = marker_of(names)
        self._ids = {name: index for index, name in enumerate(names)}
        self._encode = _encoder(tokenizer)

    def decode(self, word: bytes) -> str | None:
        """Return the text of a word; None for special tokens, and where it ends within a character.

        Args:
            word: key of its tokens; see `agents.text.tokens.key_of`.
        """
        tokens = np.frombuffer(word, dtype=np.int32)
        if self._special[tokens].any():
            return None
        try:
            return b"".join(self._subwords[token].content for token in tokens).decode()
        except UnicodeDecodeError:
            return None

    def encode(
        self, texts: Sequence[str | None], replaced: Sequence[bytes]
    ) -> list[np.ndarray | None]:
        """Return the tokens of words; None where the tokenizer cannot encode a word in its place.

        Args:
            texts: the words; None is passed on.
            replaced: keys of the words whose places they take, after a space or not.
        """
        given = [index for index, text in enumerate(texts) if text]
        marked = [self._subwords[int.from_bytes(replaced[i][:4], "little")].marked for i in given]
        # Only byte-level BPE encodes a word after a space from a text that has the space.
        lead = " " if self._marker == BYTE_SPACE else ""
        words = [
            (lead if mark else "") + str(texts[i]) for i, mark in zip(given, marked, strict=True)
        ]
        encoded: list[np.ndarray | None] = [None] * len(texts)
        for index, mark, ids in zip(given, marked, self._encode(words), strict=True):
            encoded[index] = self._in_place(ids, mark)
        return encoded

    def _in_place(self, ids: list[int], marked: bool) -> np.ndarray | None:
        """Swap the first token for its marked or unmarked twin; None where the vocabulary lacks it."""
        # Tokenisers encode a word by itself as at the start of a text, where markers differ from its place.
        if ids and self._subwords[ids[0]].marked != marked:
            name = self._names[ids[0]]
            if name == self._marker:  # SentencePiece may emit the space as a token of its own
                ids = ids[1:]
            else:
                other = self._marker + name if marked else name.removeprefix(self._marker)
                ids = [self._ids[other], *ids[1:]] if other in self._ids else []
        tokens = np.array(ids, dtype=np.int32)
        return tokens if len(ids) and not self._special[tokens].any() else None


def _encoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[str]], list[list[int]]]:
    """Return a function from texts to tokens that shares no state with the tokenizer.

    Truncation and padding are settings of the shared object, which other threads may change.
    """
    original: Any = tokenizer.backend_tokenizer
    backend = type(original).from_str(original.to_str())
    backend.no_truncation()
    backend.no_padding()
    return lambda texts: [
        encoding.ids for encoding in backend.encode_batch(texts, add_special_tokens=False)
    ]
