"""Tests of a society: accuracy on every episode, of votes and of agents, with claims and without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.learning.curriculum import Curriculum
from agentos.learning.episode_rounds import society_answer
from agentos.learning.life_records import EpisodeRecord

Rows = NDArray[np.int64]
Opinions = dict[int, NDArray[np.float64]]


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of a society.

    Attributes:
        tests: on the test of every episode.
        heads: the same by heads that draw on no claims.
        agents: mean over all tests of agents that each answer alone.
        agent_heads: the same by heads that draw on no claims.
        with_repeats: mean of `tests`, had near duplicates of training text stayed in the tests; None if
            there are none.
    """

    tests: tuple[float, ...] = ()
    heads: tuple[float, ...] = ()
    agents: float | None = None
    agent_heads: float | None = None
    with_repeats: float | None = None

    @classmethod
    def recorded(cls, last: EpisodeRecord | None) -> Accuracies:
        """Return what an episode has recorded."""
        if last is None:
            return cls()
        return cls(last.accuracies, with_repeats=last.accuracy_with_repeats)


def accuracies_of(
    curriculum: Curriculum,
    heads: Callable[[Rows], Opinions],
    mixed: Callable[[Opinions, Rows], Opinions],
) -> Accuracies:
    """Test a society on every episode.

    Args:
        curriculum: the episodes.
        heads: returns the answers of the agents' heads to some documents.
        mixed: returns these answers mixed with what claims say.
    """
    episodes = curriculum.episodes
    parts = [*(each.test for each in episodes), *(each.repeats for each in episodes)]
    rows, cuts = np.concatenate(parts), np.cumsum([len(part) for part in parts])[:-1]

    def right(found: Opinions) -> list[NDArray[np.bool_]]:
        return np.split(society_answer(found) == curriculum.codes[rows], cuts)

    count = len(episodes)

    def alone(found: Opinions) -> float:
        each = [right({agent: own})[:count] for agent, own in found.items()]
        return float(np.mean([test.mean() for tests in each for test in tests]))

    opinions = heads(rows)
    answers = mixed(opinions, rows)
    answered = right(answers)
    tests, repeats = answered[:count], answered[count:]
    both = [np.concatenate(pair).mean() for pair in zip(tests, repeats, strict=True)]
    return Accuracies(
        tests=tuple(float(test.mean()) for test in tests),
        heads=tuple(float(test.mean()) for test in right(opinions)[:count]),
        agents=alone(answers),
        agent_heads=alone(opinions),
        with_repeats=float(np.mean(both)) if any(map(len, repeats)) else None,
    )
