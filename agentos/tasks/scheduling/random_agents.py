"""Agents drawn at random, as a control."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentos.tasks.scheduling.base import BoardMaker, Scheduler
from agentos.tasks.scheduling.placements import Schedule
from agentos.tasks.scheduling.workload import Workload


class RandomAgents(Scheduler):
    """A control: every subtask goes to an agent drawn from those that may do it."""

    kind: Literal["random"] = "random"

    def fill(self, workload: Workload, board: BoardMaker, rng: np.random.Generator) -> Schedule:
        """Draw an agent for each subtask, in the order of the graph; see `Scheduler.fill`."""
        drawn = board()
        for subtask in workload.order:
            if subtask not in drawn.placed:
                possible = drawn.possible(subtask)
                drawn.place(subtask, possible[int(rng.integers(len(possible)))])
        return drawn.schedule()
