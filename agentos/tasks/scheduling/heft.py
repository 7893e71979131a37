r"""Heterogeneous earliest finish time, and a search around it.

The upward rank of a subtask is its mean time plus the longest way on to an end,
\(r_i = \bar w_i + \max_j (\bar c_{ij} + r_j)\), with means over the agents that may do it and over the pairs
of unlike ones. Subtasks are placed by falling rank, each where it ends first, gaps included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.tasks.scheduling.base import BoardMaker, Scheduler
from agentos.tasks.scheduling.placements import Schedule
from agentos.tasks.scheduling.workload import Workload


class Heft(Scheduler):
    """HEFT: the subtask with the longest way to the end first, inserted where it ends first.

    The rule looks no further than the subtask that it places. The schedule is therefore improved: one
    subtask at a time is moved to another agent or rank, and what does not lengthen the schedule stays.

    Source: Topcuoglu et al., Performance-Effective and Low-Complexity Task Scheduling for Heterogeneous
    Computing, 2002.
    """

    kind: Literal["heft"] = "heft"
    improvements: int = Field(
        default=400,
        ge=0,
        description="Moves to try after the rule, each at its cost; 0 is HEFT alone.",
    )

    def fill(self, workload: Workload, board: BoardMaker, rng: np.random.Generator) -> Schedule:
        """Place by rank, then try moves; see `Scheduler.fill`."""
        ranks = upward_ranks(workload)
        free: list[int | None] = [None] * workload.subtasks
        best = _by_rank(workload, board, ranks, free)
        movable = [s for s in range(workload.subtasks) if s not in best.settled]
        agents: Sequence[int | None] = free
        for _ in range(self.improvements if movable else 0):
            moved, onto = ranks.copy(), list(agents)
            subtask = movable[int(rng.integers(len(movable)))]
            if rng.random() < 0.5:
                moved[subtask] = moved[movable[int(rng.integers(len(movable)))]] * rng.uniform(
                    0.9, 1.1
                )
            else:
                choice = np.flatnonzero(workload.allowed[subtask])
                drawn = int(rng.integers(len(choice) + 1))
                onto[subtask] = None if drawn == len(choice) else int(choice[drawn])
            tried = _by_rank(workload, board, moved, onto)
            if tried.makespan_s <= best.makespan_s:
                best, ranks, agents = tried, moved, onto
        return best


def upward_ranks(workload: Workload) -> NDArray[np.float64]:
    """Return `[S]`: mean seconds from the beginning of each subtask to the end of all that hang on it."""
    ranks = np.zeros(workload.subtasks)
    for subtask in reversed(workload.order):
        onwards = [
            _mean_transit(workload, subtask, reader) + ranks[reader]
            for reader in workload.readers[subtask]
        ]
        allowed = workload.allowed[subtask]
        ranks[subtask] = workload.seconds[subtask, allowed].mean() + max(onwards, default=0.0)
    return ranks


def _mean_transit(workload: Workload, source: int, reader: int) -> float:
    """Return the mean over pairs of unlike agents that may do the two, and that a path joins."""
    pairs = np.outer(workload.allowed[source], workload.allowed[reader])
    np.fill_diagonal(pairs, False)
    times = workload.between(source, reader)[pairs]
    times = times[np.isfinite(times)]
    return float(times.mean()) if times.size else 0.0


def _by_rank(
    workload: Workload,
    board: BoardMaker,
    ranks: NDArray[np.float64],
    agents: Sequence[int | None],
) -> Schedule:
    """Place the ready subtask of the highest rank, on its agent or where it ends first."""
    drawn = board()
    while ready := drawn.ready:
        subtask = max(ready, key=lambda each: (ranks[each], -each))
        agent = agents[subtask]
        placement = None if agent is None else drawn.earliest(subtask, agent)
        drawn.place(subtask, placement or drawn.best(subtask))
    return drawn.schedule()
