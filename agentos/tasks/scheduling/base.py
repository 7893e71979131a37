"""Base of schedulers: they decide who does which subtask, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np

from agentos.tasks.scheduling.placements import Board, Placement, Schedule
from agentos.tasks.scheduling.workload import Workload
from protocols.seeding import generator
from protocols.spec import Spec

BoardMaker = Callable[[], Board]


class Scheduler(Spec, ABC):
    """Base of every scheduler."""

    kind: str

    def plan(
        self,
        workload: Workload,
        seed: int = 0,
        settled: Mapping[int, Placement] | None = None,
        from_s: float = 0.0,
    ) -> Schedule:
        """Return a schedule of all subtasks.

        Args:
            workload: the subtasks, and what they take on which agent.
            seed: the run's seed, for schedulers that draw.
            settled: placements of subtasks that are done or under way.
            from_s: time from which the others may begin.

        Raises:
            ConfigurationError: the inputs of a subtask reach no agent that may do it.
        """
        rng = generator(seed, "schedule", self.kind)
        return self.fill(workload, lambda: Board(workload, settled, from_s), rng)

    @abstractmethod
    def fill(self, workload: Workload, board: BoardMaker, rng: np.random.Generator) -> Schedule:
        """Return the schedule of all subtasks.

        Args:
            workload: the subtasks.
            board: returns a board with the settled subtasks on it, as often as it is called.
            rng: the only source of randomness.
        """
