from __future__ import annotations

import numpy as np
import pytest

from agents.text.tokens import Text
from agents.views import Setting, TokenCutoff, WordDeletion

WORDS = 400
"""Words of the long text, of three tokens each."""


def test_word_deletion_keeps_words_whole_and_deletes_the_stated_share(
    setting: Setting, words_text: Text
) -> None:
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(50):
        left = WordDeletion(p=0.3).apply(words_text, setting, rng)
        numbers = left.tokens.reshape(-1, 3)
        assert (numbers == numbers[:, :1] + np.arange(3)).all()
        assert (np.diff(numbers[:, 0]) > 0).all()
        kept.append(len(numbers))
    # A binomial of 50 x 400 with probability 0.7: five standard deviations are 5 x 64.8.
    assert abs(sum(kept) - 14_000) < 324


def test_word_deletion_of_everything_leaves_a_word_any_word(
    setting: Setting, words_text: Text
) -> None:
    rng = np.random.default_rng(0)
    short = words_text.span(0, 12)
    left = [WordDeletion(p=1.0).apply(short, setting, rng).tokens.tolist() for _ in range(400)]
    assert all(len(tokens) == 3 for tokens in left)
    _, counts = np.unique([tokens[0] for tokens in left], return_counts=True)
    # Four words, 100 times each: five standard deviations are 43.
    assert len(counts) == 4
    assert np.abs(counts - 100).max() < 43


def test_word_deletion_with_probability_zero_changes_nothing(
    setting: Setting, words_text: Text
) -> None:
    assert WordDeletion(p=0.0).apply(words_text, setting, np.random.default_rng(0)) is words_text


@pytest.mark.parametrize(("p", "count"), [(0.0, 0), (0.15, 3), (0.5, 10), (1.0, 19)])
def test_token_cutoff_hides_the_stated_share_and_never_all(
    setting: Setting, words_text: Text, p: float, count: int
) -> None:
    text = words_text.span(0, 20)
    cut = TokenCutoff(p=p).apply(text, setting, np.random.default_rng(0))
    assert cut.tokens is text.tokens
    assert (0 if cut.hidden is None else int(cut.hidden.sum())) == count


def test_token_cutoff_hides_every_token_equally_often(setting: Setting, words_text: Text) -> None:
    text, rng = words_text.span(0, 20), np.random.default_rng(0)
    drawn = [TokenCutoff(p=0.25).apply(text, setting, rng).hidden for _ in range(2000)]
    # 2,000 draws with probability 0.25: five standard deviations are 97.
    assert np.abs(np.sum(drawn, axis=0) - 500).max() < 97


def test_token_cutoff_twice_hides_other_tokens_and_leaves_one(
    setting: Setting, words_text: Text
) -> None:
    rng, text = np.random.default_rng(0), words_text.span(0, 5)
    once = TokenCutoff(p=0.5).apply(text, setting, rng)
    twice = TokenCutoff(p=1.0).apply(once, setting, rng)
    assert twice.hidden.sum() == 4
    assert (twice.hidden | ~once.hidden).all()
    assert TokenCutoff(p=1.0).apply(twice, setting, rng) is twice
