from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from transformers import DataCollatorForLanguageModeling

from agents.text.masking import (
    IGNORED,
    choose_tokens,
    corrupt,
    masked_labels,
    next_token_labels,
)
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def vocabulary(tokenizer) -> Vocabulary:
    return Vocabulary(tokenizer)


@pytest.fixture(scope="module")
def spelt(tokenizer) -> Text:
    """4,000 tokens, words of one to three pieces: the tokenizer spells what it does not know."""
    words = np.random.default_rng(0).choice(["wave", "ab", "xyz", "tide"], size=2400)
    ids = tokenizer(" ".join(words), add_special_tokens=False)["input_ids"][:4000]
    return Text.of(np.array(ids, dtype=np.int32))


def assert_share(count: int, of: int, expected: float) -> None:
    """Within four standard deviations of a binomial distribution: false once in 16,000 seeds."""
    assert abs(count - of * expected) <= 4 * np.sqrt(of * expected * (1 - expected))


def fates(true, seen, chosen, mask_id):
    """Return the numbers of chosen tokens that were masked, replaced by another, and left."""
    masked = seen[chosen] == mask_id
    left = seen[chosen] == true[chosen]
    return masked.sum(), (~masked & ~left).sum(), left.sum()


def test_rates_are_those_of_the_original_and_of_transformers(spelt, vocabulary, tokenizer):
    rng = np.random.default_rng(1)
    chosen = choose_tokens(spelt, vocabulary, 0.15, False, rng)
    seen = corrupt(spelt, chosen, vocabulary, rng).tokens
    np.testing.assert_array_equal(seen[~chosen], spelt.tokens[~chosen])

    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=0)
    batch = collator([{"input_ids": spelt.tokens.tolist()}])
    theirs = batch["labels"][0].numpy() != IGNORED
    other = batch["input_ids"][0].numpy()

    for flags, tokens in ((chosen, seen), (theirs, other)):
        assert_share(flags.sum(), len(spelt), 0.15)
        counts = fates(spelt.tokens, tokens, flags, vocabulary.mask())
        for count, share in zip(counts, (0.8, 0.1, 0.1), strict=True):
            assert_share(count, flags.sum(), share)


def test_random_tokens_are_spread_over_all_ordinary_ones(spelt, vocabulary):
    everything = np.ones(len(spelt), dtype=bool)
    drawn: list[np.ndarray] = []
    for seed in range(20):
        seen = corrupt(spelt, everything, vocabulary, np.random.default_rng(seed)).tokens
        drawn.append(seen[(seen != spelt.tokens) & (seen != vocabulary.mask())])
    counts = np.bincount(np.concatenate(drawn), minlength=vocabulary.size)
    assert counts[vocabulary.special].sum() == 0
    # About 8,000 draws over about 100 tokens: 80 each, give or take 9.
    assert (counts[vocabulary.ordinary] > 30).all()


def test_whole_words_are_chosen_with_all_their_tokens(spelt, vocabulary):
    chosen = choose_tokens(spelt, vocabulary, 0.15, True, np.random.default_rng(2))
    starts = vocabulary.words(spelt.tokens)
    words = np.split(chosen, starts[1:])
    assert max(map(len, words)) == 3
    assert all(word.all() or not word.any() for word in words)
    assert_share(sum(word.all() for word in words), len(words), 0.15)


def test_single_tokens_are_chosen_without_their_words(spelt, vocabulary):
    chosen = choose_tokens(spelt, vocabulary, 0.15, False, np.random.default_rng(2))
    words = np.split(chosen, vocabulary.words(spelt.tokens)[1:])
    assert any(word.any() and not word.all() for word in words)


@pytest.mark.parametrize("whole_words", [False, True])
def test_every_text_has_a_token_to_predict(spelt, vocabulary, whole_words):
    for length in (1, 2, 3):
        for seed in range(30):
            text = spelt.span(seed, seed + length)
            rng = np.random.default_rng(seed)
            assert choose_tokens(text, vocabulary, 0.01, whole_words, rng).sum() >= 1


def test_the_token_that_is_chosen_for_want_of_another_is_any_of_them(spelt, vocabulary):
    text = spelt.span(0, 3)
    places = [
        int(choose_tokens(text, vocabulary, 1e-9, False, np.random.default_rng(seed)).argmax())
        for seed in range(60)
    ]
    assert set(places) == {0, 1, 2}


def test_special_and_hidden_tokens_are_never_chosen(vocabulary, tokenizer):
    unknown, mask = tokenizer.unk_token_id, tokenizer.mask_token_id
    wave = tokenizer.convert_tokens_to_ids("wave")
    text = Text.of(np.array([unknown, wave, mask, wave, unknown]))
    hidden = text.with_hidden(np.array([False, False, False, True, False]))
    for seed in range(20):
        chosen = choose_tokens(hidden, vocabulary, 0.9, False, np.random.default_rng(seed))
        np.testing.assert_array_equal(chosen, [False, True, False, False, False])
    nothing = Text.of(np.array([unknown, unknown]))
    assert not choose_tokens(nothing, vocabulary, 0.9, False, np.random.default_rng(0)).any()


def test_labels_are_the_true_tokens_behind_the_special_ones():
    texts = [Text.of(np.array([7, 8, 9])), Text.of(np.array([5]))]
    chosen = [np.array([True, False, True]), np.array([False])]
    labels = masked_labels(texts, chosen, 1, (2, 5))
    n = IGNORED
    np.testing.assert_array_equal(labels, [[n, 7, n, 9, n], [n] * 5])


@pytest.mark.parametrize(("suffix", "end"), [([], None), ([7], None), ([], 9), ([7], 9)])
def test_next_token_labels_equal_a_slow_count(suffix: list[int], end: int | None) -> None:
    """Three texts of one to four tokens; the last one was cut."""
    texts = [[1, 2, 3, 4], [5], [1, 2]]
    rows = [[0, *text, *suffix] for text in texts]
    width = max(map(len, rows)) + 1
    ids = np.array([row + [8] * (width - len(row)) for row in rows])
    lengths = np.array([len(row) for row in rows])
    batch = SimpleNamespace(
        input_ids=ids, attention_mask=np.arange(width) < lengths[:, None], lengths=lengths
    )
    complete = np.array([True, True, False])
    collate = SimpleNamespace(suffix=suffix, end_token=end)
    found = next_token_labels(batch, complete, collate)  # type: ignore[arg-type]
    for row, text, whole in zip(found.tolist(), texts, complete, strict=True):
        last = end if whole and end is not None else IGNORED
        assert row == [*text, last] + [IGNORED] * (width - len(text) - 1)
