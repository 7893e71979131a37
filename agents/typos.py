"""Misspelt tokens: one letter left out, put in, exchanged, or swapped with the next."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from agents.spelling import Spelling
from protocols.seeding import generator

VARIANTS = 4
"""Ways in which a token can be misspelt."""


class Typos:
    """What every token of a vocabulary becomes with a typo in it, in a few ways each.

    Tokenising a word takes far longer than all else that a view does, so it is done once for all tokens.
    The typos depend on the vocabulary alone.

    Args:
        spelling: of the vocabulary.
    """

    def __init__(self, spelling: Spelling) -> None:
        tokens = np.repeat(np.arange(spelling.size, dtype=np.int32), VARIANTS)
        keys = [token.tobytes() for token in tokens]
        draws = generator(0, "typos").random((len(keys), 3)).tolist()
        texts = [_typo(spelling.read(key), draw) for key, draw in zip(keys, draws, strict=True)]
        self._variants = spelling.write(texts, keys)
        self._possible = np.array([found is not None for found in self._variants])

    def draw(self, tokens: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Misspell tokens.

        Args:
            tokens: `[N]`.
            draws: `[N]` in [0, 1), which way.

        Returns:
            `[M]` ascending, which of them have such a typo, and the tokens of each of those. Others are no
            letters or digits, or the tokenizer cannot write the result.
        """
        numbers = tokens.astype(np.int64) * VARIANTS + (draws * VARIANTS).astype(np.int64)
        places = np.flatnonzero(self._possible[numbers])
        found = [self._variants[number] for number in numbers[places].tolist()]
        return places, [variant for variant in found if variant is not None]


def _typo(text: str | None, draws: Sequence[float]) -> str | None:
    return misspell(text, draws) if text is not None and text.isalnum() else None


def misspell(word: str, draws: Sequence[float]) -> str:
    """Return a word with one typo: not the word, unless no other letter of its script is known.

    Which typo and where are uniform, among those that are possible. New letters are of the script and
    case of the letter that they replace or stand beside.

    Args:
        word: at least one character.
        draws: three numbers in [0, 1): for the place, the letter and the typo.

    Example:
        >>> [misspell("word", (0.3, 0.0, typo)) for typo in (0.0, 0.25, 0.5, 0.75)]
        ['ward', 'waord', 'wrd', 'wrod']
    """
    place = int(draws[0] * len(word))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    letters = _like(letter)
    typos = [before + after] if len(word) > 1 else []
    if letters:
        other = letters[int(draws[1] * len(letters))]
        typos = [before + other + after, before + other + letter + after, *typos]
    if len(set(word)) > 1:
        pairs = [index for index in range(len(word) - 1) if word[index] != word[index + 1]]
        first = min(pairs, key=lambda index: abs(index - place))
        typos.append(word[:first] + word[first + 1] + word[first] + word[first + 2 :])
    return typos[int(draws[2] * len(typos))] if typos else word


@lru_cache(maxsize=4096)
def _like(letter: str) -> str:
    """Return the other letters of the same script and case; of large scripts, those close by."""
    if letter.isascii():
        first, count = (ord("0"), 10) if letter.isdigit() else (ord(letter) & 96 | 1, 26)
    else:
        first, count = ord(letter) // 32 * 32, 32
    near = (chr(first + index) for index in range(count))
    return "".join(c for c in near if c != letter and _class(c) == _class(letter))


def _class(letter: str) -> tuple[str, str]:
    return unicodedata.category(letter), unicodedata.name(letter, "").split(" ")[0]
