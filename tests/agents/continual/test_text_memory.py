from __future__ import annotations

from collections import Counter

import numpy as np

from agents.continual.text_memory import MemoryConfig, MemoryState


def filled(labels: list[int], config: MemoryConfig, seed: int = 0) -> MemoryState:
    """Offer one text per label, whose tokens are its number."""
    memory, rng = MemoryState(), np.random.default_rng(seed)
    for number, label in enumerate(labels):
        place = memory.place(config, rng)
        if place is not None:
            memory.store(place, np.array([number]), label)
    return memory


def stored(memory: MemoryState) -> list[int]:
    return [int(tokens[0]) for tokens in memory.tokens]


def test_memory_never_holds_more_than_it_may() -> None:
    labels = [0] * 30 + [1] * 5 + [2] * 15
    memory = filled(labels, MemoryConfig(texts=12))
    assert len(memory.tokens) == len(memory.classes) == 12
    assert [labels[number] for number in stored(memory)] == memory.classes
    assert memory.offered == 50


def test_memory_keeps_every_text_with_the_same_probability() -> None:
    config, runs = MemoryConfig(texts=5), 4000
    counts = Counter(
        number for run in range(runs) for number in stored(filled([0] * 20, config, run))
    )
    shares = np.array([counts[number] for number in range(20)]) / runs
    # Five standard deviations of a share of 1/4.
    assert np.abs(shares - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / runs)


def test_stored_tokens_are_copies() -> None:
    memory, tokens = MemoryState(), np.arange(3)
    memory.store(0, tokens, 1)
    tokens[:] = 9
    assert memory.tokens[0].tolist() == [0, 1, 2]
