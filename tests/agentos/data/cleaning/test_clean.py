from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.data.cleaning.clean import clean, key, words


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
