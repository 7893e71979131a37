from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from agents.text.tokens import Text
from agents.views import SentenceReordering, Setting, WordSwap


def numbers(text: Text) -> list[int]:
    """Return the words of a text, each whole."""
    rows = text.tokens.reshape(-1, 3)
    assert (rows == rows[:, :1] + np.arange(3)).all()
    return ((rows[:, 0] - 1000) // 3).tolist()


@pytest.mark.parametrize(("p", "swaps"), [(0.001, 1), (0.1, 1), (0.3, 3), (1.0, 10)])
def test_word_swap_swaps_the_stated_number_of_pairs(
    setting: Setting, words_text: Text, p: float, swaps: int
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        order = numbers(WordSwap(p=p).apply(words_text.span(0, 30), setting, rng))
        assert sorted(order) == list(range(10))
        # A permutation of N with C cycles is a product of N - C swaps, or of two more, four more, ...
        least = 10 - cycles(order)
        assert least <= swaps
        assert (swaps - least) % 2 == 0


def cycles(order: list[int]) -> int:
    left, count = set(order), 0
    while left:
        place, count = min(left), count + 1
        while place in left:
            left.remove(place)
            place = order[place]
    return count


def test_word_swap_takes_every_pair_equally_often(setting: Setting, words_text: Text) -> None:
    rng, text = np.random.default_rng(0), words_text.span(0, 15)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(3000):
        order = numbers(WordSwap(p=0.1).apply(text, setting, rng))
        moved = tuple(i for i in range(5) if order[i] != i)
        counts[moved] = counts.get(moved, 0) + 1
    # Ten pairs, 300 times each: five standard deviations are 82.
    assert len(counts) == 10
    assert max(abs(count - 300) for count in counts.values()) < 82


def test_word_swap_keeps_the_words_of_each_sentence_in_number(
    setting: Setting, uneven_text: Text
) -> None:
    rng = np.random.default_rng(0)
    begins = setting.vocabulary.begins
    before = begins(uneven_text.tokens, uneven_text.sentences)
    words = [int(part.sum()) for part in np.split(before, uneven_text.sentences[1:])]
    for _ in range(50):
        swapped = WordSwap(p=0.5).apply(uneven_text, setting, rng)
        after = begins(swapped.tokens, swapped.sentences)
        assert [int(part.sum()) for part in np.split(after, swapped.sentences[1:])] == words


def test_word_swap_of_one_word_or_none_changes_nothing(setting: Setting, words_text: Text) -> None:
    rng = np.random.default_rng(0)
    one = words_text.span(0, 3)
    assert WordSwap(p=1.0).apply(one, setting, rng) is one
    assert WordSwap(p=0.0).apply(words_text, setting, rng) is words_text


def test_sentences_come_in_every_order_equally_often(setting: Setting) -> None:
    rng = np.random.default_rng(0)
    parts = ([5, 6], [7], [8, 9, 10])
    text = Text(np.concatenate(parts), np.array([0, 2, 3]))
    counts = dict.fromkeys(permutations(range(3)), 0)
    for _ in range(3000):
        shuffled = SentenceReordering().apply(text, setting, rng)
        found = [shuffled.sentence(index).tolist() for index in range(3)]
        counts[tuple(parts.index(part) for part in found)] += 1
    # Six orders, 500 times each: five standard deviations are 102.
    assert max(abs(count - 500) for count in counts.values()) < 102


def test_single_sentence_stays(setting: Setting) -> None:
    text = Text.of(np.array([5, 6]))
    assert SentenceReordering().apply(text, setting, np.random.default_rng(0)) is text
