"""Synonyms from a WordNet that the user has installed, read by the package `wn`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.text.words import WordCodec
from protocols.errors import ModelError


class WordNet:
    """Synonyms: words that share a synset in any of the installed lexicons.

    Source: Miller, WordNet: A Lexical Database for English, 1995; read by the package `wn`.

    Args:
        codec: of the vocabulary.
    """

    def __init__(self, codec: WordCodec) -> None:
        self._codec = codec
        self._lock = threading.Lock()
        self._known: dict[bytes, Sequence[np.ndarray]] = {}

    def synonyms(self, word: bytes) -> Sequence[np.ndarray]:
        """Return the tokens of a word's synonyms in alphabetical order, single words only.

        Args:
            word: key of its tokens.

        Raises:
            ModelError: no lexicon is installed.
        """
        if word not in self._known:
            with self._lock:  # all threads share one connection to the database
                self._known[word] = self._find(word)
        return self._known[word]

    def _find(self, word: bytes) -> Sequence[np.ndarray]:
        text = self._codec.decode(word)
        if text is None or not text.isalpha():
            return ()
        synsets = installed().synsets(text) or installed().synsets(text.lower())
        lemmas = {lemma for synset in synsets for lemma in synset.lemmas()}
        lemmas = {lemma for lemma in lemmas if lemma.isalpha() and lemma.lower() != text.lower()}
        cased = [lemma.capitalize() if text[0].isupper() else lemma for lemma in sorted(lemmas)]
        tokens = self._codec.encode(cased, [word] * len(cased))
        return tuple(found for found in tokens if found is not None)


def installed() -> Any:
    """Return the module `wn` with at least one lexicon.

    Raises:
        ModelError: the package, or its data, is missing.
    """
    hint = "pip install wn && python -m wn download oewn:2024, or use the source thesaurus"
    try:
        import wn
        from wn._config import config  # `wn.config`, which `wn` does not declare as exported
    except ImportError as error:
        raise ModelError("the package wn is not installed", hint=hint) from error
    if not config.allow_multithreading:  # views are made in threads
        config.allow_multithreading = True
    if not wn.lexicons():
        raise ModelError(
            "no WordNet is installed",
            expected=f"a lexicon in {config.database_path}",
            actual="none",
            hint=hint,
        )
    return wn
