"""Subtasks, who may do them, and how long they and their messages take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.rounds.clock.timing import Timing
from protocols.errors import ConfigurationError
from protocols.spec import Spec

Arrow = tuple[int, int]
"""A subtask and one that reads its output, by their positions."""


class Subtask(Spec):
    """One node of a task: its work, its inputs, and how good an agent has to be at it."""

    name: str = Field(..., min_length=1, description="Name that other subtasks refer to.")
    work: float | tuple[float, ...] = Field(
        ...,
        description="Work in the unit of the agents' speeds, such as FLOPs: one number, or one for each "
        "agent, whose encoders differ in cost.",
    )
    after: Mapping[str, int] = Field(
        default_factory=dict,
        description="Subtasks whose output it reads, and the serialised bytes of each output.",
    )
    floor: float = Field(
        0.0, ge=0.0, le=1.0, description="Accuracy below which an agent gets none of it."
    )
    agents: tuple[int, ...] | None = Field(
        None, description="The only agents that may do it; by default all."
    )


@dataclass(frozen=True)
class Workload:
    """A directed acyclic graph of S subtasks, for A agents.

    Args:
        names: name of each subtask.
        arrows: bytes that each subtask sends to each one that reads its output.
        seconds: `[S, A]`, how long each agent takes for each subtask.
        allowed: `[S, A]`, whether the agent may do it.
        transit_s: `[A, A]` for each number of bytes: seconds from agent to agent, infinite without a path.
        spare: `[S, A]`, who may do a subtask once none of the allowed agents is left; None for no agent.

    Raises:
        ConfigurationError: the graph has a cycle, a time is not a number above or equal to 0, or a subtask
            is left without an agent.
    """

    names: tuple[str, ...]
    arrows: Mapping[Arrow, int]
    seconds: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    transit_s: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    spare: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        _check_times(self)
        _ = self.order
        for subtask in np.flatnonzero(~self.allowed.any(axis=1)):
            raise ConfigurationError(
                f"no agent may do the subtask {self.names[subtask]!r}",
                expected="an agent that lives, is named in `agents` and reaches the floor",
                actual="none",
                hint="lower the subtask's floor, name more agents, or adapt one to it",
            )

    @property
    def subtasks(self) -> int:
        """Number of subtasks."""
        return len(self.names)

    @property
    def agents(self) -> int:
        """Number of agents."""
        return int(self.seconds.shape[1])

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """Subtasks whose output each subtask reads."""
        return _neighbours(self.subtasks, [(reader, source) for source, reader in self.arrows])

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """Subtasks that read the output of each subtask."""
        return _neighbours(self.subtasks, self.arrows)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The subtasks in an order in which every one comes after those that it reads."""
        left = [len(sources) for sources in self.sources]
        ready = [subtask for subtask, count in enumerate(left) if not count]
        for subtask in ready:
            for reader in self.readers[subtask]:
                left[reader] -= 1
                if not left[reader]:
                    ready.append(reader)
        if len(ready) < self.subtasks:
            within = [self.names[subtask] for subtask, count in enumerate(left) if count]
            raise ConfigurationError(
                "the subtasks wait for each other in a circle",
                expected="a directed acyclic graph",
                actual=f"a cycle among {', '.join(within)}",
                hint="take one of them out of another's `after`",
            )
        return tuple(ready)

    def between(self, source: int, reader: int) -> NDArray[np.float64]:
        """Return `[A, A]`: seconds of the output of one subtask to another, from agent to agent."""
        return self.transit_s[self.arrows[source, reader]]

    def without(self, agents: Collection[int], settled: Collection[int] = ()) -> Workload:
        """Return the workload in which some agents get nothing more.

        Args:
            agents: those that died or are no longer trusted.
            settled: subtasks that need no agent any more.
        """
        allowed = self.allowed.copy()
        lost = np.zeros(self.agents, dtype=bool)
        lost[list(agents)] = True
        open_rows = np.ones(self.subtasks, dtype=bool)
        open_rows[list(settled)] = False
        allowed[np.ix_(open_rows, lost)] = False
        if self.spare is not None:
            alone = ~allowed.any(axis=1)
            allowed[alone] = self.spare[alone] & ~lost
        return replace(self, allowed=allowed)

    def sparing(self, spare: NDArray[np.bool_]) -> Workload:
        """Return the workload with agents `[S, A]` that get a subtask once no other is left."""
        return replace(self, spare=spare)


def workload_of(
    subtasks: Sequence[Subtask],
    timing: Timing,
    fitness: NDArray[np.float64] | None = None,
) -> Workload:
    """Return the workload of subtasks for the agents of a clock.

    Messages between agents without a link are passed on along the quickest path.

    Args:
        subtasks: the nodes, in any order.
        timing: the agents' speeds, and the latency and bandwidth of each link.
        fitness: `[S, A]`, measured accuracy of each agent at each subtask; None lets every agent do each.

    Raises:
        ConfigurationError: names are given twice or are unknown, works do not fit the agents, the graph has
            a cycle, or a subtask is left without an agent.
    """
    places = {subtask.name: place for place, subtask in enumerate(subtasks)}
    if len(places) < len(subtasks):
        raise ConfigurationError(
            "a subtask's name is given twice",
            expected="one name for each subtask",
            actual=", ".join(subtask.name for subtask in subtasks),
            hint="rename one of them",
        )
    agents = sorted(timing.speeds)
    speeds = np.array([timing.speeds[agent] for agent in agents])
    arrows = {
        (_place(places, source, subtask), place): size
        for place, subtask in enumerate(subtasks)
        for source, size in subtask.after.items()
    }
    return Workload(
        names=tuple(places),
        arrows=arrows,
        seconds=np.array([_work(subtask, len(agents)) / speeds for subtask in subtasks]),
        allowed=np.array(
            [
                _allowed(subtask, len(agents), None if fitness is None else fitness[place])
                for place, subtask in enumerate(subtasks)
            ]
        ),
        transit_s={size: transit_between(timing, size) for size in set(arrows.values())},
    )


def transit_between(timing: Timing, size: int) -> NDArray[np.float64]:
    """Return `[A, A]`: the seconds of a message along the quickest path, infinite without one.

    Example:
        >>> line = Timing({0: 1.0, 1: 1.0, 2: 1.0}, {(0, 1): 0.5, (1, 2): 0.25})
        >>> transit_between(line, 100)[0].tolist()
        [0.0, 0.5, 0.75]
    """
    agents = len(timing.speeds)
    direct = np.full((agents, agents), np.inf)
    for sender, receiver in timing.latency_s:
        direct[sender, receiver] = timing.transit_s(sender, receiver, size)
    np.fill_diagonal(direct, 0.0)
    # Floyd and Warshall by hand: a link of 0 seconds is a link, which SciPy's takes for none.
    for through in range(agents):
        direct = np.minimum(direct, direct[:, [through]] + direct[[through]])
    return direct


def _place(places: Mapping[str, int], source: str, subtask: Subtask) -> int:
    if source not in places:
        raise ConfigurationError(
            f"the subtask {subtask.name!r} comes after an unknown one",
            expected=f"one of {', '.join(places)}",
            actual=source,
            hint="correct the name in its `after`",
        )
    return places[source]


def _work(subtask: Subtask, agents: int) -> NDArray[np.float64]:
    work = np.asarray(subtask.work, dtype=np.float64)
    if work.ndim and len(work) != agents:
        raise ConfigurationError(
            f"the work of the subtask {subtask.name!r} does not fit the agents",
            expected=f"one number, or {agents}",
            actual=f"{len(work)} numbers",
            hint="give one number for each agent, in their order",
        )
    return np.broadcast_to(work, agents)


def _allowed(
    subtask: Subtask, agents: int, fitness: NDArray[np.float64] | None
) -> NDArray[np.bool_]:
    named = range(agents) if subtask.agents is None else subtask.agents
    allowed: NDArray[np.bool_] = np.isin(np.arange(agents), list(named))
    return allowed if fitness is None else allowed & (np.asarray(fitness) >= subtask.floor)


def _check_times(workload: Workload) -> None:
    times = workload.seconds
    shape = (workload.subtasks, times.shape[1] if times.ndim == 2 else 0)
    fits = times.shape == workload.allowed.shape == shape and shape[0] and shape[1]
    if not fits or not np.all(np.isfinite(times)) or np.any(times < 0):
        raise ConfigurationError(
            "the times of the subtasks cannot be planned with",
            expected="a finite number of seconds, at least 0, for each subtask and agent",
            actual=f"shape {times.shape}, permissions {workload.allowed.shape}, "
            f"{workload.subtasks} subtasks",
            hint="check the work of each subtask and the speed of each agent, which must be above 0",
        )


def _neighbours(count: int, arrows: Collection[Arrow]) -> tuple[tuple[int, ...], ...]:
    found: list[list[int]] = [[] for _ in range(count)]
    for near, far in arrows:
        found[near].append(far)
    return tuple(tuple(sorted(far)) for far in found)
