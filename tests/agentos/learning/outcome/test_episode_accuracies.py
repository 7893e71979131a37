from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from agentos.learning.curriculum import Curriculum
from agentos.learning.outcome.episode_accuracies import accuracies_of


def test_near_duplicates_count_in_their_own_figure_alone() -> None:
    def episode(test: list[int], repeats: list[int]) -> Any:
        return SimpleNamespace(test=np.array(test), repeats=np.array(repeats, np.int64))

    episodes = (episode([0, 1], [4, 5]), episode([2, 3], []))
    curriculum = cast(Curriculum, SimpleNamespace(episodes=episodes, codes=np.zeros(6, np.int64)))
    right = np.array([True, False, False, False, True, True])

    def heads(rows: np.ndarray) -> dict[int, np.ndarray]:
        sure = np.where(right[rows, None], [[0.9, 0.1]], [[0.1, 0.9]])
        return {0: sure, 1: np.tile([0.4, 0.6], (len(rows), 1))}

    def mixed(found: dict[int, np.ndarray], rows: np.ndarray) -> dict[int, np.ndarray]:
        return {**found, 0: np.where((rows == 2)[:, None], [[1.0, 0.0]], found[0])}

    found = accuracies_of(curriculum, heads, mixed)
    assert found.heads == (0.5, 0.0)
    assert found.tests == (0.5, 0.5)
    # The second agent is wrong about all, and less sure of it.
    assert (found.agents, found.agent_heads) == (0.25, 0.125)
    assert found.with_repeats == (0.75 + 0.5) / 2
    episodes[0].repeats = np.zeros(0, np.int64)
    assert accuracies_of(curriculum, heads, mixed).with_repeats is None
