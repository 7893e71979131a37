"""The subtask that can end first, next."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentos.tasks.scheduling.base import BoardMaker, Scheduler
from agentos.tasks.scheduling.placements import Schedule
from agentos.tasks.scheduling.workload import Workload


class Greedy(Scheduler):
    """Min-min: of the subtasks that are ready, the one that can end first, on the agent where it does.

    Source: Ibarra and Kim, Heuristic Algorithms for Scheduling Independent Tasks on Nonidentical
    Processors, 1977.
    """

    kind: Literal["greedy"] = "greedy"

    def fill(self, workload: Workload, board: BoardMaker, rng: np.random.Generator) -> Schedule:
        """Place one subtask after another; see `Scheduler.fill`."""
        drawn = board()
        while ready := drawn.ready:
            best = {subtask: drawn.best(subtask) for subtask in ready}
            first = min(ready, key=lambda subtask: (best[subtask].end_s, subtask))
            drawn.place(first, best[first])
        return drawn.schedule()
