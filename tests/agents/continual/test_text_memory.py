from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from agents.continual.text_memory import MemoryConfig, MemoryState


def filled(labels: list[int], config: MemoryConfig, seed: int = 0) -> MemoryState:
    """Offer one text per label, whose tokens are its number."""
    memory, rng = MemoryState(), np.random.default_rng(seed)
    for number, label in enumerate(labels):
        place = memory.place(label, config, rng)
        if place is not None:
            memory.store(place, np.array([number]), label)
    return memory


def stored(memory: MemoryState) -> list[int]:
    return [int(tokens[0]) for tokens in memory.tokens]


@pytest.mark.parametrize("kind", ["reservoir", "class_balanced"])
def test_memory_never_holds_more_than_it_may(kind: str) -> None:
    labels = [0] * 30 + [1] * 5 + [2] * 15
    memory = filled(labels, MemoryConfig(kind=kind, texts=12))
    assert len(memory.tokens) == len(memory.classes) == 12
    assert [labels[number] for number in stored(memory)] == memory.classes
    assert memory.offered == {0: 30, 1: 5, 2: 15}


def test_reservoir_keeps_every_text_with_the_same_probability() -> None:
    config, runs = MemoryConfig(kind="reservoir", texts=5), 4000
    counts = Counter(
        number for run in range(runs) for number in stored(filled([0] * 20, config, run))
    )
    shares = np.array([counts[number] for number in range(20)]) / runs
    # Five standard deviations of a share of 1/4.
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / runs)


def test_balanced_memory_evens_out_the_classes() -> None:
    memory = filled([0] * 90 + [1] * 4 + [2] * 40, MemoryConfig(texts=18))
    assert Counter(memory.classes) == {0: 7, 1: 4, 2: 7}
    reservoir = filled([0] * 90 + [1] * 4 + [2] * 40, MemoryConfig(kind="reservoir", texts=18))
    assert Counter(reservoir.classes)[0] > 7


def test_balanced_memory_keeps_the_texts_of_a_class_with_the_same_probability() -> None:
    config, runs = MemoryConfig(texts=6), 4000
    counts = Counter(
        number for run in range(runs) for number in stored(filled([0] * 10 + [1] * 10, config, run))
    )
    shares = np.array([counts[number] for number in range(20)]) / runs
    assert np.abs(shares - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / runs)


def test_stored_tokens_are_copies() -> None:
    memory, tokens = MemoryState(), np.arange(3)
    memory.store(0, tokens, 1)
    tokens[:] = 9
    assert memory.tokens[0].tolist() == [0, 1, 2]
