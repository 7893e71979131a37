from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.data.cleaning.clean import clean, key
from agentos.data.scripts import words


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("  one \t two  ", "one two"),
        ("Summary.\n\nBody,\n  more.", "Summary.\n\nBody,\nmore."),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\nb", "a\n\nb"),
        ("a\r\nb\rc\x85d\u2028e\u2029f\x0bg\x0ch", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("nul\x00 bell\x07 esc\x1b[1m", "nul bell esc[1m"),
        ("non\u00a0breaking\u3000wide", "non breaking wide"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("cafe\u0301", "caf\u00e9"),
        ("half \ud83d pair", "half pair"),
        ("nap\u200dkin \U0001f468\u200d\U0001f469", "nap\u200dkin \U0001f468\u200d\U0001f469"),
        (" \n\t ", ""),
    ],
)
def test_clean_tidies_and_keeps_line_breaks(given: str, expected: str) -> None:
    assert clean(given) == expected


@given(st.text(st.characters(), max_size=60))
def test_clean_twice_is_clean_once(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")


def test_key_ignores_case_and_white_space_alone() -> None:
    assert 0 <= key("x") < 2**64
    assert key("Some\nText ") == key("some  text") == key("SOME TEXT")
    assert key("stra\u00dfe") == key("STRASSE")
    assert key("some text") != key("sometext")
    assert key("some text.") != key("some text")


def test_words_are_characters_where_words_are_not_spaced() -> None:
    assert words("three plain words") == ["three", "plain", "words"]
    assert words("\u6211\u559c Python") == ["\u6211", "\u559c", "Python"]
    assert words("na\u00efve caf\u00e9") == ["na\u00efve", "caf\u00e9"]
    assert words("") == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (
            "\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28",
            5,
        ),  # Thai: po, ro with its a, the vowel e, tho, so
        ("\u0ea5\u0eb2\u0ea7", 2),  # Lao: lo with its a, wo
        ("\u1781\u17d2\u1798\u17c2\u179a", 3),  # Khmer: kho and its coeng, mo and its vowel, ro
        ("\u1019\u103c\u1014\u103a\u1019\u102c", 3),  # Burmese: ma, na, ma with their signs
        ("\u0f56\u0f7c\u0f51\u0f0b\u0f66\u0f90\u0f51\u0f0b", 4),  # Tibetan: ba, da; sa over ka, da
        ("\U00020000\u3400\uf900", 3),  # Chinese beyond the first block
        ("\u0e01\u0e34abc \u0e34x", 3),  # Latin after a letter; a mark that follows none
    ],
)
def test_words_of_scripts_without_spaces_are_letters_with_their_marks(
    text: str, count: int
) -> None:
    assert len(words(text)) == count
    assert "".join(words(text)) == text.replace(" ", "")


@pytest.mark.parametrize("marks", ["\u0301\u0327", "\u0f73", "\u0344"])
def test_stacked_marks_are_normalised_in_linear_time(marks: str) -> None:
    text = "a" + marks * 200_000
    begun = time.perf_counter()
    found = clean(text)
    assert time.perf_counter() - begun < 5  # quadratic time would take minutes
    plain = unicodedata.normalize("NFD", found).replace("\u034f", "")
    assert sorted(plain) == sorted(unicodedata.normalize("NFD", marks) * 200_000 + "a")
    assert clean("a\u0327" + "\u0301" * 29) == unicodedata.normalize(
        "NFC", "a\u0327" + "\u0301" * 29
    )
