"""Whether an explanation is faithful: does the number follow when the words that it names go or come?

Legend: W words, K points of a curve, R random orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.audit.explanation.text_words import Words
from protocols.seeding import generator

POINTS = 11
"""Points of a curve, at most."""
RANDOM_ORDERS = 20

Score = Callable[[Sequence[NDArray[np.int64]]], NDArray[np.float64]]
"""Returns the number `[N]` of texts that are given by their tokens."""


@dataclass(frozen=True)
class Faithfulness:
    """Curves of the number as words go (deletion) and come (insertion), the most important first.

    Attributes:
        words: `[K]` how many words are gone, or have come.
        deletion: `[K]` the number after deletion; a faithful explanation makes it fall early.
        insertion: `[K]` the number after insertion; a faithful explanation makes it rise early.
        random_deletion, random_insertion: `[K]` means over random orders.
        deletion_beats, insertion_beats: random orders whose mean is worse, of `RANDOM_ORDERS`.

    Source: Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models, 2018.
    """

    words: tuple[int, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    random_deletion: tuple[float, ...]
    random_insertion: tuple[float, ...]
    deletion_beats: int
    insertion_beats: int

    @property
    def gap(self) -> float:
        """Mean of the insertion curve less that of the deletion curve; the larger, the more faithful."""
        return float(np.mean(self.insertion) - np.mean(self.deletion))


def faithfulness(
    words: Words, methods: Mapping[str, NDArray[np.float64]], score: Score, seed: int = 0
) -> dict[str, Faithfulness]:
    """Delete and insert words in the order of their contributions, and in random orders.

    Args:
        words: the text.
        methods: contributions `[W]` of the words by each method; the largest goes first.
        score: returns the number of texts by their tokens.
        seed: draws the random orders, which all methods are compared with.

    Returns:
        By method.
    """
    count = len(words.words)
    steps = np.unique(np.linspace(0, count, min(POINTS, count + 1)).round().astype(int))
    orders = [np.argsort(-values, kind="stable") for values in methods.values()]
    draws = generator(seed, "random explanations", count)
    orders += [draws.permutation(count) for _ in range(RANDOM_ORDERS)]
    deletion = _curves(words, orders, steps, score)
    insertion = _curves(words, orders, steps, score, inserted=True)
    by_chance = slice(len(methods), None)
    return {
        name: Faithfulness(
            tuple(steps.tolist()),
            tuple(deletion[row].tolist()),
            tuple(insertion[row].tolist()),
            tuple(deletion[by_chance].mean(axis=0).tolist()),
            tuple(insertion[by_chance].mean(axis=0).tolist()),
            int((deletion[by_chance].mean(axis=1) > deletion[row].mean()).sum()),
            int((insertion[by_chance].mean(axis=1) < insertion[row].mean()).sum()),
        )
        for row, name in enumerate(methods)
    }


def _curves(
    words: Words,
    orders: Sequence[NDArray[np.int64]],
    steps: NDArray[np.int64],
    score: Score,
    inserted: bool = False,
) -> NDArray[np.float64]:
    """Return the number `[orders, K]` when the first words of each order are gone, or alone are there."""
    texts = [
        words.without(order[step:].tolist() if inserted else order[:step].tolist())
        for order in orders
        for step in steps
    ]
    return score(texts).reshape(len(orders), len(steps))
