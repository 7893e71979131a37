"""Words in every script, with spaces or without, and marks that stack on a character."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# Each character is a word: kana, bopomofo, Chinese with its extensions, Yi, half-width kana.
_IDEOGRAPHIC = (
    (0x3005, 0x3007),
    (0x3040, 0x312F),
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xA48F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x3FFFD),
)
# Each letter with the signs that follow it is a word: Thai, Lao, Tibetan, Burmese and its extensions, Khmer,
# Tai Le, New Tai Lue, Tai Tham, Balinese, Javanese, Tai Viet.
_SYLLABIC = (
    (0x0E00, 0x0E7F),
    (0x0E80, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x1950, 0x19DF),
    (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F),
    (0xA980, 0xA9FF),
    (0xAA60, 0xAADF),
)
# Vowels that Unicode counts as letters although they follow one, and the dots between Tibetan syllables.
_FOLLOWING = frozenset("\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3\u0f0b\u0f0c")

OTHER, LETTER, MARK = 0, 1, 2


def _kind(code: int) -> int:
    character = chr(code)
    if character in _FOLLOWING:
        return MARK
    return {"L": LETTER, "M": MARK}.get(unicodedata.category(character)[0], OTHER)


@lru_cache(maxsize=1)
def kinds() -> npt.NDArray[np.uint8]:
    """Return `LETTER`, `MARK` or `OTHER` for each code point, `[0x110000]`.

    In scripts without spaces a word is one `LETTER` and every `MARK` after it.
    """
    found: npt.NDArray[np.uint8] = np.zeros(0x110000, dtype=np.uint8)
    for first, last in _IDEOGRAPHIC:
        found[first : last + 1] = LETTER
    for first, last in _SYLLABIC:
        found[first : last + 1] = [_kind(code) for code in range(first, last + 1)]
    return found


def character_class(kind: int) -> str:
    """Return the characters of one kind as ranges for a regular expression, without its brackets."""
    codes = np.flatnonzero(kinds() == kind)
    runs = np.split(codes, np.flatnonzero(np.diff(codes) > 1) + 1)
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


_LETTERS, _MARKS = character_class(LETTER), character_class(MARK)
WORD = re.compile(rf"[{_LETTERS}][{_MARKS}]*|[^\s{_LETTERS}]+")
"""Matches one word of `words`."""


def words(text: str) -> list[str]:
    """Return the words: runs without white space; in scripts without spaces, letters with their marks.

    Those are Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan and others.

    Example:
        >>> words("three short words"), words("\u4f60\u597d")
        (['three', 'short', 'words'], ['\u4f60', '\u597d'])
    """
    return text.split() if text.isascii() else WORD.findall(text)


MAX_STACKED = 30
"""Marks on one character, at most: the bound of Unicode's stream-safe text format (UAX 15)."""
_JOINER = "\u034f"


def bound_marks(text: str) -> str:
    """Return a text in which no more than `MAX_STACKED` marks follow each other.

    Normalisation sorts the marks on a character in quadratic time. As in the stream-safe text format, a
    combining grapheme joiner, which has no shape, ends a run; no language has runs of that length.
    """
    return _stacks().sub(_divided, text)


def _divided(match: re.Match[str]) -> str:
    marks = "".join(unicodedata.normalize("NFD", mark) for mark in match[0])
    return _JOINER.join(
        marks[start : start + MAX_STACKED] for start in range(0, len(marks), MAX_STACKED)
    )


@lru_cache(maxsize=1)
def _stacks() -> re.Pattern[str]:
    marks = {chr(code) for code in range(0x20000) if unicodedata.combining(chr(code))}
    marks |= set("\u0f73\u0f75\u0f81")  # of no class of their own, but they decompose into marks
    codes = np.array(sorted(map(ord, marks)))
    runs = np.split(codes, np.flatnonzero(np.diff(codes) > 1) + 1)
    inside = "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)
    return re.compile(f"[{inside}]{{{MAX_STACKED + 1},}}")
