from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.text.tokens import Text


def text_of(*sentences: list[int], hidden: list[int] | None = None) -> Text:
    """Build a text from its sentences' tokens and the places that are hidden."""
    starts = np.cumsum([0, *map(len, sentences)])[:-1]
    tokens = np.concatenate(sentences)
    flags = None
    if hidden is not None:
        flags = np.zeros(len(tokens), dtype=bool)
        flags[hidden] = True
    return Text(tokens, starts, flags)


def sentences_of(text: Text) -> list[list[int]]:
    return [text.sentence(index).tolist() for index in range(len(text.sentences))]


SENTENCES = st.lists(st.integers(1, 5), min_size=1, max_size=6)


@given(lengths=SENTENCES, data=st.data())
def test_keep_leaves_each_token_in_its_sentence(lengths, data) -> None:
    numbers = iter(range(sum(lengths)))
    sentences = [[next(numbers) for _ in range(length)] for length in lengths]
    kept = data.draw(
        st.lists(st.booleans(), min_size=sum(lengths), max_size=sum(lengths)).filter(any)
    )
    slow = [[token for token in sentence if kept[token]] for sentence in sentences]
    assert sentences_of(text_of(*sentences).keep(np.array(kept))) == [s for s in slow if s]


@given(lengths=SENTENCES, data=st.data())
def test_span_leaves_each_token_in_its_sentence(lengths, data) -> None:
    numbers = iter(range(sum(lengths)))
    sentences = [[next(numbers) for _ in range(length)] for length in lengths]
    start = data.draw(st.integers(0, sum(lengths) - 1))
    end = data.draw(st.integers(start + 1, sum(lengths)))
    slow = [[token for token in sentence if start <= token < end] for sentence in sentences]
    assert sentences_of(text_of(*sentences).span(start, end)) == [s for s in slow if s]


def test_hidden_tokens_stay_hidden_where_they_go() -> None:
    text = text_of([1, 2], [3, 4], hidden=[1])
    assert text.span(1, 3).hidden.tolist() == [True, False]
    assert text.keep(np.array([True, True, False, True])).hidden.tolist() == [False, True, False]
    moved = text.take(np.array([2, 3, 0, 1]), np.array([0, 2]))
    assert moved.tokens.tolist() == [3, 4, 1, 2]
    assert moved.hidden.tolist() == [False, False, False, True]


@pytest.mark.parametrize("hidden", [[0, 1], [2]], ids=["all", "none"])
def test_part_that_would_be_hidden_whole_is_seen(hidden: list[int]) -> None:
    assert text_of([1, 2, 3], hidden=hidden).span(0, 2).hidden is None


@given(data=st.data())
def test_words_are_replaced_one_by_one(data) -> None:
    """Words of one to three tokens, in sentences; new words may be shorter or longer than the old."""
    words = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    ends = np.cumsum(words)
    starts = ends - words
    later = data.draw(st.sets(st.integers(0, len(words) - 1)))
    sentences = sorted({0, *later})
    hidden = np.array(data.draw(st.lists(st.booleans(), min_size=sum(words), max_size=sum(words))))
    text = Text(np.arange(ends[-1]), starts[sentences], hidden)
    places = sorted(data.draw(st.sets(st.integers(0, len(words) - 1), min_size=1)))
    new = {place: np.arange(100, 101 + data.draw(st.integers(0, 3))) for place in places}
    found = text.with_words(starts, places, list(new.values()))

    tokens: list[int] = []
    flags: list[bool] = []
    begins: list[int] = []
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        begins.append(len(tokens))
        word = new.get(place, np.arange(start, end)).tolist()
        tokens += word
        flags += [bool(hidden[min(start + within, end - 1)]) for within in range(len(word))]
    assert found.tokens.tolist() == tokens
    assert found.sentences.tolist() == [begins[sentence] for sentence in sentences]
    shown = [not all(flags) and flag for flag in flags]  # never all of them are hidden
    assert (np.zeros(len(tokens), bool) if found.hidden is None else found.hidden).tolist() == shown
    assert text.tokens.tolist() == list(range(ends[-1]))
