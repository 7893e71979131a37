"""Synonyms of a WordNet that the user has installed, by way of the package `wn`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.text.words import Spelling
from protocols.errors import ModelError


class WordNet:
    """Words that share a synset with a word, of any of the lexicons that are installed.

    Source: Miller, WordNet: A Lexical Database for English, 1995; read by the package `wn`.

    Args:
        spelling: of the vocabulary.
    """

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling
        self._lock = threading.Lock()
        self._known: dict[bytes, Sequence[np.ndarray]] = {}

    def synonyms(self, word: bytes) -> Sequence[np.ndarray]:
        """Return the tokens of a word's synonyms, in alphabetical order; of single words alone.

        Args:
            word: key of its tokens.

        Raises:
            ModelError: no lexicon is installed.
        """
        if word not in self._known:
            with self._lock:  # one connection to the database for all threads
                self._known[word] = self._look_up(word)
        return self._known[word]

    def _look_up(self, word: bytes) -> Sequence[np.ndarray]:
        text = self._spelling.read(word)
        if text is None or not text.isalpha():
            return ()
        synsets = installed().synsets(text) or installed().synsets(text.lower())
        lemmas = {lemma for synset in synsets for lemma in synset.lemmas()}
        lemmas = {lemma for lemma in lemmas if lemma.isalpha() and lemma.lower() != text.lower()}
        cased = [lemma.capitalize() if text[0].isupper() else lemma for lemma in sorted(lemmas)]
        tokens = self._spelling.write(cased, [word] * len(cased))
        return tuple(found for found in tokens if found is not None)


def installed() -> Any:
    """Return the module `wn`, where it is installed with a lexicon.

    Raises:
        ModelError: the package, or its data, is missing.
    """
    hint = "pip install wn && python -m wn download oewn:2024, or use the source thesaurus, which needs none"
    try:
        import wn
        from wn._config import config  # `wn.config`, which it does not export for type checkers
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
