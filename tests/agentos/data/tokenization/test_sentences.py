from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentos.data.tokenization.sentences import sentence_starts, split_sentences


@pytest.mark.parametrize(
    "parts",
    [
        ["One sentence. ", "Another one! ", "A third? ", "Yes."],
        ["Dr. Smith met Prof. J. R. Brown at 5 p.m. on Monday. ", "They left."],
        ["See Fig. 3 and Eq. (2), e.g. Table 4, i.e. this one. ", "It is No. 5 of vol. 2."],
        ["The U.S. Senate met. ", "It is in the U.S. ", "The vote was close."],
        ["Acme Inc. Chairman Lee spoke. ", "It is Acme Inc. ", "The end."],
        ["Pi is 3.14159, not 3.2. ", "Version 1.2.3 came in 1990. ", "25 people came."],
        ['He said "Stop." ', "Then he left. ", "(See p. 5.) ", "“Why?” ", "‘No.’"],
        ["“Really?” he asked. ", "Wait... what? ", "Well... ", "So… ", "Now."],
        ["First line of a summary\nwrapped here.\n", "Second.\n\n", "A heading\n\n", "Text"],
        ["Lists:\n", "- one\n", "- two\n", "1. First. ", "It goes on.\n", "2. Second"],
        ["Do it. ", "`name` is set. ", ":class:`A` is made.\n", ">>> a. b\n", ">>> c"],
        ["Args:\n", "x: the value. ", "Default: 3."],
        ["今天很好。", "你呢？", "“我也好！”", "再见"],
        ["『こんにちは。』", "と言った。\n", "はい。"],
        ["यह है। ", "वह है॥ ", "और"],
        ["هل هذا صحيح؟ ", "نعم. ", "یہ ہے۔ ", "اور"],
        ["Это так. ", "А это т. е. не так! ", "Да."],
        ["  led by space. ", "End. \n"],
        ["x is a value. y is too, and never was one. ", "Done."],
    ],
)
def test_sentences_are_split_where_they_end(parts: list[str]) -> None:
    assert split_sentences("".join(parts)) == parts


def test_text_without_an_end_is_one_sentence() -> None:
    assert sentence_starts("") == []
    for text in (" ", "\n\n", "word", "...", "。。。", "? ! .", "A. B. C."):
        assert sentence_starts(text) == [0]


PIECES = st.sampled_from(
    [*"aB1 .!?…。:\n\t\"')(-*>", "。」", "Mr.", "e.g.", "\n\n", "- ", ">>> ", "ß"]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_pieces_make_up_the_text_and_none_is_empty(text: str) -> None:
    starts = sentence_starts(text)
    assert starts == sorted(set(starts))
    assert starts[:1] == ([0] if text else [])
    pieces = split_sentences(text)
    assert "".join(pieces) == text
    if text.strip():
        assert all(piece.strip() for piece in pieces)
        assert all(not text[start].isspace() for start in starts[1:])


def test_time_grows_with_the_length_alone() -> None:
    # Nested repetitions would take minutes on these.
    for text in (" \n" * 50_000, "." * 100_000, ":\n " * 30_000, "a. " * 30_000, "。" * 100_000):
        assert sentence_starts(text)[0] == 0
