"""Schedules: which agent does which subtask when, drawn up on a board and checked by themselves."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentos.tasks.scheduling.workload import Workload
from protocols.errors import ConfigurationError

TOLERANCE_S = 1e-9
"""Overlap that is rounding noise, as a share of the makespan."""


class Placement(NamedTuple):
    """One subtask on one agent, from one time to another."""

    start_s: float
    end_s: float
    agent: int


@dataclass(frozen=True)
class Schedule:
    """A placement of every subtask.

    Args:
        placements: in the order of the workload's subtasks.
        settled: subtasks that were done or under way before this schedule was made.
        from_s: time at which it was made.
    """

    placements: tuple[Placement, ...]
    settled: frozenset[int] = frozenset()
    from_s: float = 0.0

    @property
    def makespan_s(self) -> float:
        """Seconds until the last subtask ends."""
        return max(placement.end_s for placement in self.placements)

    @property
    def agents(self) -> tuple[int, ...]:
        """The agent of each subtask."""
        return tuple(placement.agent for placement in self.placements)


class Board:
    """A schedule that is being drawn up.

    Args:
        workload: what is to be placed.
        settled: placements of subtasks that are done or under way.
        from_s: nothing new begins, and nothing is sent anew, before this time.
    """

    def __init__(
        self,
        workload: Workload,
        settled: Mapping[int, Placement] | None = None,
        from_s: float = 0.0,
    ) -> None:
        self.workload = workload
        self.from_s = from_s
        self.settled = frozenset(settled or ())
        self.placed: dict[int, Placement] = {}
        self.ready: set[int] = {s for s, sources in enumerate(workload.sources) if not sources}
        """Unplaced subtasks whose inputs are all placed."""
        self._missing = [len(sources) for sources in workload.sources]
        self._busy: list[list[tuple[float, float]]] = [[] for _ in range(workload.agents)]
        for subtask, placement in (settled or {}).items():
            self.place(subtask, placement)

    def earliest(self, subtask: int, agent: int) -> Placement | None:
        """Return where a subtask can be inserted first on an agent, once all that it reads has come.

        None if the agent may not do it, or cannot be reached.
        """
        if not self.workload.allowed[subtask, agent]:
            return None
        ready_s = max(
            (self._arrival(source, subtask, agent) for source in self.workload.sources[subtask]),
            default=self.from_s,
        )
        if not np.isfinite(ready_s):
            return None
        start, lasts = max(ready_s, self.from_s), float(self.workload.seconds[subtask, agent])
        for begun, ended in self._busy[agent]:
            if start + lasts <= begun:
                break
            start = max(start, ended)
        return Placement(start, start + lasts, agent)

    def best(self, subtask: int) -> Placement:
        """Return the placement with which a subtask ends first; of equal ones, the first agent's.

        Raises:
            ConfigurationError: no agent that may do it can be reached.
        """
        found = self.possible(subtask)
        return min(found, key=lambda placement: (placement.end_s, placement.agent))

    def possible(self, subtask: int) -> list[Placement]:
        """Return the earliest placement of a subtask on every agent that can do it, at least one.

        Raises:
            ConfigurationError: no agent that may do it can be reached.
        """
        tried = (self.earliest(subtask, agent) for agent in range(self.workload.agents))
        found = [placement for placement in tried if placement is not None]
        if not found:
            raise ConfigurationError(
                f"the inputs of the subtask {self.workload.names[subtask]!r} reach no agent that may do it",
                expected="a path of links to one of its agents",
                actual="none",
                hint="connect the agents, or let others do the subtask",
            )
        return found

    def place(self, subtask: int, placement: Placement) -> None:
        """Place a subtask."""
        self.placed[subtask] = placement
        insort(self._busy[placement.agent], (placement.start_s, placement.end_s))
        self.ready.discard(subtask)
        for reader in self.workload.readers[subtask]:
            self._missing[reader] -= 1
            if not self._missing[reader] and reader not in self.placed:
                self.ready.add(reader)

    def schedule(self) -> Schedule:
        """Return the schedule, once every subtask is placed."""
        placements = tuple(self.placed[subtask] for subtask in range(self.workload.subtasks))
        return Schedule(placements, self.settled, self.from_s)

    def _arrival(self, source: int, subtask: int, agent: int) -> float:
        done = self.placed[source]
        if done.agent == agent:
            return done.end_s
        # A settled subtask did not know of this reader: what it sends leaves now at the earliest.
        sent_s = max(done.end_s, self.from_s) if source in self.settled else done.end_s
        return sent_s + float(self.workload.between(source, subtask)[done.agent, agent])


def violations(workload: Workload, schedule: Schedule) -> list[str]:
    """Return what makes a schedule impossible; nothing if it can be carried out as it stands.

    It shares no code with the board: every rule is checked on the finished placements.
    """
    found: list[str] = []
    slack = TOLERANCE_S * max(1.0, abs(schedule.makespan_s))
    placements = schedule.placements
    if len(placements) != workload.subtasks:
        return [f"{len(placements)} placements for {workload.subtasks} subtasks"]
    for name, placement, seconds, allowed, settled in zip(
        workload.names,
        placements,
        workload.seconds,
        workload.allowed,
        [subtask in schedule.settled for subtask in range(workload.subtasks)],
        strict=True,
    ):
        if abs(placement.end_s - placement.start_s - seconds[placement.agent]) > slack:
            found.append(f"{name} does not last {seconds[placement.agent]} s")
        if not settled and not allowed[placement.agent]:
            found.append(f"{name} is on agent {placement.agent}, which may not do it")
        if not settled and placement.start_s < schedule.from_s - slack:
            found.append(f"{name} begins before {schedule.from_s} s")
    for (source, reader), size in workload.arrows.items():
        if reader in schedule.settled:
            continue
        sender, receiver = placements[source], placements[reader]
        sent = sender.end_s
        if source in schedule.settled and sender.agent != receiver.agent:
            sent = max(sent, schedule.from_s)
        come = sent + workload.transit_s[size][sender.agent, receiver.agent]
        if receiver.start_s < come - slack:
            found.append(
                f"{workload.names[reader]} begins before the output of {workload.names[source]} has come"
            )
    for first in range(workload.subtasks):
        for second in range(first):
            one, other = placements[first], placements[second]
            # Strict on both sides, so that a subtask of no length may not lie within another.
            clash = one.start_s < other.end_s - slack and other.start_s < one.end_s - slack
            if one.agent == other.agent and clash:
                found.append(f"{workload.names[first]} and {workload.names[second]} overlap")
    return found
