"""Inversion of embeddings that tell all, and of some that tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.audit.privacy.inversion import inversion
from protocols.errors import DataError

WORDS = [
    "wave",
    "tide",
    "ship",
    "harbour",
    "field",
    "crop",
    "barn",
    "tractor",
    "street",
    "shop",
    "bank",
    "square",
    "star",
    "moon",
    "cloud",
    "comet",
]


def texts(count: int, seed: int) -> list[str]:
    draws = np.random.default_rng(seed)
    return [" ".join(draws.choice(WORDS, 4, replace=False)) for _ in range(count)]


ANCHORS, PRIVATE = texts(200, 1), texts(50, 2)


def bag(given):
    rows = np.array([[text.split().count(word) for word in WORDS] for text in given], dtype=float)
    return (rows @ np.random.default_rng(3).normal(size=(16, 24))).astype(np.float32)


def test_a_projected_bag_of_words_gives_its_words_away():
    found = inversion(bag, ANCHORS, PRIVATE)
    assert found.named == 4
    assert found.f1 > 0.95
    assert found.floor < 0.5
    assert found.gain.mean() == pytest.approx(found.f1 - found.floor)


def test_a_constant_embedding_gives_no_more_away_than_frequent_words():
    found = inversion(lambda given: np.ones((len(given), 5), np.float32), ANCHORS, PRIVATE)
    assert found.f1 == pytest.approx(found.floor)


def test_the_floor_equals_a_count():
    frequent = sorted(WORDS, key=lambda w: (-sum(w in t.split() for t in ANCHORS), w))[:4]
    expected = [len(set(frequent) & set(text.split())) / 4 for text in PRIVATE]
    assert inversion(bag, ANCHORS, PRIVATE).floor == pytest.approx(np.mean(expected))


def test_words_beyond_the_vocabulary_count_as_missed():
    found = inversion(bag, ANCHORS, [f"{text} zebra giraffe okapi tapir" for text in PRIVATE])
    assert found.f1 == pytest.approx(8 / 12, abs=0.03)  # four found of eight, four named


def test_public_texts_without_common_words_are_refused():
    with pytest.raises(DataError, match="too few words"):
        inversion(bag, ["one", "two"], PRIVATE)
