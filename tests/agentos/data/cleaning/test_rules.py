from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.data.cleaning import clean as cleaning
from agentos.data.cleaning import rules
from agentos.data.cleaning.config import CleaningConfig
from agentos.data.cleaning.rules import clean_text, fingerprint, refusal


@pytest.mark.parametrize(
    ("garbled", "text"),
    [
        ("CafÃ© schÃ¶n", "Café schön"),
        ("â€œHiâ€\x9d", "“Hi”"),
        ("voilÃ  le", "voilà le"),
        ("\x93quoted\x94", "“quoted”"),
        ("ﬁne", "fine"),
        ("ä½\xa0å¥½", "你好"),
    ],
)
def test_wrong_decodings_are_undone(garbled: str, text: str) -> None:
    assert clean_text(garbled, CleaningConfig()) == text
    unrepaired = CleaningConfig(repair_unicode=False)
    assert clean_text(garbled, unrepaired) == cleaning.clean(garbled)


@pytest.mark.parametrize(
    "text",
    ["naïve café", "“quotes” — and…", "你好！全角，标点。", "Привет, мир", "x² ≤ ½", "𝑥 👩‍👩"],
)
def test_sound_text_is_left_unchanged(text: str) -> None:
    assert clean_text(text, CleaningConfig()) == text


@given(st.text(st.characters(max_codepoint=0x17F), max_size=30))
def test_text_that_bypasses_ftfy_would_not_be_changed_by_it(text: str) -> None:
    if not rules._SUSPECT.search(text):
        whole = cleaning.clean(rules._repair(text.replace("\x1b", "")))
        assert whole == cleaning.clean(text.replace("\x1b", ""))


def test_html_is_stripped_from_all_from_none_or_from_what_is_html() -> None:
    page, code = "<p>One <b>two</b></p>", "a <b>tag</b> &amp; List<T>"
    kept = {html: CleaningConfig(html=html) for html in ("keep", "strip", "auto")}  # type: ignore[arg-type]
    assert [clean_text(page, config) for config in kept.values()] == [page, "One two", "One two"]
    assert [clean_text(code, config) for config in kept.values()] == [code, "a tag & List<T>", code]


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({}, "only two", "too_short"),
        ({}, "now there are four", None),
        ({"maximum_words": 4}, "now there are four", None),
        ({"maximum_words": 3}, "now there are four", "too_long"),
        ({"maximum_duplicate_lines": 0.3}, "a b\na b\nc d", "repetitive"),
        ({"maximum_duplicate_lines": 0.4}, "a b\na b\nc d", None),
        ({"maximum_top_ngram": 0.5, "ngram_words": 2}, "buy now buy now or later", "repetitive"),
        ({"maximum_top_ngram": 0.5}, "buy now buy now or later", None),
        ({"language": "en"}, "the house is on the other side of the street", None),
        ({"language": "en"}, "das Haus steht auf der anderen Seite der Straße", "other_language"),
    ],
)
def test_text_is_left_out_for_a_reason(
    fields: dict[str, Any], text: str, reason: str | None
) -> None:
    assert refusal(text, CleaningConfig(**fields), minimum_words=3) == reason


def test_fingerprint_changes_with_every_field() -> None:
    prints = [
        fingerprint(CleaningConfig(**fields))
        for fields in ({}, {"html": "keep"}, {"language": "en"}, {"repair_unicode": False})
    ]
    assert len(set(prints)) == 4
