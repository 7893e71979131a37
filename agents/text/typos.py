"""Misspelt tokens: one letter deleted, inserted, substituted, or swapped with the next."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from agents.text.words import WordCodec
from protocols.seeding import generator

Alphabet = Mapping[tuple[str, str], str]
VARIANTS = 4
"""Misspelt variants of each token."""


class Typos:
    """A few misspelt variants of every token of a vocabulary.

    Tokenising a word takes far longer than the rest of a view, so all variants are tokenised once. They
    depend on the vocabulary only.

    Args:
        codec: of the vocabulary.
    """

    def __init__(self, codec: WordCodec) -> None:
        keys = [token.tobytes() for token in np.arange(codec.size, dtype=np.int32)]
        texts = [text if text and text.isalnum() else None for text in map(codec.decode, keys)]
        alphabet = alphabet_of(text for text in texts if text)
        draws = generator(0, "typos").random((len(keys), VARIANTS, 3)).tolist()
        typos = [
            None if text is None else misspell(text, alphabet, draw)
            for text, row in zip(texts, draws, strict=True)
            for draw in row
        ]
        self._variants = codec.encode(typos, [key for key in keys for _ in range(VARIANTS)])
        self._possible = np.array([found is not None for found in self._variants])

    def draw(self, tokens: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Misspell tokens.

        Args:
            tokens: `[N]`.
            draws: `[N]` in [0, 1), choose the variant.

        Returns:
            `[M]` ascending, indices of the tokens that have the chosen variant, and the tokens of each
            variant. The other tokens are no letters or digits, or the tokenizer cannot encode the result.
        """
        numbers = tokens.astype(np.int64) * VARIANTS + (draws * VARIANTS).astype(np.int64)
        places = np.flatnonzero(self._possible[numbers])
        # `_possible` has ruled None out already; the second filter is for the type checker.
        found = [self._variants[number] for number in numbers[places].tolist()]
        return places, [variant for variant in found if variant is not None]


def alphabet_of(texts: Iterable[str]) -> Alphabet:
    """Return the letters and digits of texts in ascending order, grouped by script and case.

    Example:
        >>> list(alphabet_of(["abba", "Ж1"]).values())
        ['1', 'ab', 'Ж']
    """
    letters: dict[tuple[str, str], str] = {}
    for letter in sorted({letter for text in texts for letter in text}):
        letters[_class(letter)] = letters.get(_class(letter), "") + letter
    return letters


def misspell(word: str, alphabet: Alphabet, draws: Sequence[float]) -> str:
    """Return a word with one typo; the word itself if no typo is possible.

    Kind and place of the typo are uniform among the possible ones. New letters have the script and case of
    the letter that they replace or precede.

    Args:
        word: at least one character.
        alphabet: source of new letters.
        draws: three numbers in [0, 1): for the place, the letter and the typo.

    Example:
        >>> letters = alphabet_of(["word", "a"])
        >>> [misspell("word", letters, (0.3, 0.0, typo)) for typo in (0.0, 0.25, 0.5, 0.75)]
        ['ward', 'waord', 'wrd', 'wrod']
    """
    place = int(draws[0] * len(word))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    letters = alphabet.get(_class(letter), "").replace(letter, "")
    typos = [before + after] if len(word) > 1 else []
    if letters:
        other = letters[int(draws[1] * len(letters))]
        typos = [before + other + after, before + other + letter + after, *typos]
    if len(set(word)) > 1:
        pairs = [index for index in range(len(word) - 1) if word[index] != word[index + 1]]
        first = min(pairs, key=lambda index: abs(index - place))
        typos.append(word[:first] + word[first + 1] + word[first] + word[first + 2 :])
    return typos[int(draws[2] * len(typos))] if typos else word


@cache
def _class(letter: str) -> tuple[str, str]:
    """Return the category and script of a letter, such as lower case and Greek."""
    return unicodedata.category(letter), unicodedata.name(letter, "").split(" ")[0]
