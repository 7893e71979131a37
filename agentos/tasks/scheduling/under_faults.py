"""A schedule carried out under a fault script: agents die, stall or lie, and others do their subtasks.

The first schedule is round 1 of the script, each further one the next round. In it an agent is lost

- at once where a fault has it away, or kills its host at the phase ``train``; at the end of its first subtask
  where its host dies at another phase,
- at the end of its first subtask where its answers are altered so that a receiver refuses them,
- at the end of a subtask whose answer arrives damaged, so that it is refused,
- a deadline after the planned end of a subtask whose answer does not arrive by then.

Later answers within the deadline, or with no deadline at all, only lengthen the schedule. A subtask whose
assignment does not arrive, or is refused, has no answer. The master sends itself no messages, so no fault
strikes its own. What an alteration or damage makes of a message is tried on a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.scheduling.base import Scheduler
from agentos.tasks.scheduling.execution import execute, reschedule
from agentos.tasks.scheduling.message_faults import Script, is_refused, lateness_of
from agentos.tasks.scheduling.placements import Placement, Schedule
from agentos.tasks.scheduling.workload import Workload

Lasting = Callable[[Schedule], NDArray[np.float64]]
"""Maps a schedule to the seconds `[S, A]` of subtasks, which may share work."""


class Loss(NamedTuple):
    """An agent that gets nothing more."""

    at_s: float
    agent: int
    fault: str


@dataclass(frozen=True)
class Aftermath:
    """Outcome of a schedule.

    Attributes:
        schedule: what each subtask took in the end.
        losses: agents that were lost, in order.
        wasted_s: seconds of work that had to be done again.
        tries: the schedules that losses cut short, in order, and the one that was carried out to its end.
    """

    schedule: Schedule
    losses: tuple[Loss, ...]
    wasted_s: float
    tries: tuple[Schedule, ...] = ()

    def begun(self, number: int) -> list[int]:
        """Return the subtasks that began in a try, in the order in which they did."""
        going = self.tries[number]
        until_s = self.losses[number].at_s if number < len(self.losses) else np.inf
        new = [s for s in range(len(going.placements)) if s not in going.settled]
        return sorted(
            (s for s in new if going.placements[s].start_s < until_s),
            key=lambda s: going.placements[s],
        )


def carry_out(
    workload: Workload,
    schedule: Schedule,
    scheduler: Scheduler,
    script: Script,
    lasting: Lasting | None = None,
) -> Aftermath:
    """Return what happens to a schedule, with a new one for what is left whenever an agent is lost.

    An agent that was lost gets nothing more, even if a fault lets it come back.

    Args:
        workload: the subtasks.
        schedule: who is to do what when.
        scheduler: makes a new schedule of what is left.
        script: what goes wrong.
        lasting: how long subtasks really take; None for as long as the workload says.

    Raises:
        ConfigurationError: a subtask is left without an agent.
    """
    losses: list[Loss] = []
    tries: list[Schedule] = []
    wasted = 0.0
    owed: frozenset[int] = frozenset()  # begun before this schedule, and to miss their deadline
    for round in range(1, workload.agents + 2):
        late = lateness_of(workload, script, round)
        seconds = workload.seconds if lasting is None else lasting(schedule)
        going = execute(workload, schedule, seconds + late.waited)
        tries.append(going)
        owed |= {
            subtask
            for subtask, placement in enumerate(going.placements)
            if subtask not in schedule.settled and late.missed[subtask, placement.agent]
        }
        found = _first(going, owed, workload.agents, script, round)
        if found is None:
            return Aftermath(going, tuple(losses), wasted, tuple(tries))
        losses.append(found)
        gone = [loss.agent for loss in losses]
        schedule = reschedule(workload, going, gone, found.at_s, scheduler, script.seed)
        owed &= schedule.settled
        wasted += sum(
            max(0.0, min(placement.end_s, found.at_s) - placement.start_s)
            for subtask, placement in enumerate(going.placements)
            if subtask not in schedule.settled
        )
    raise AssertionError("there are more losses than agents")


def _first(
    going: Schedule, owed: frozenset[int], agents: int, script: Script, round: int
) -> Loss | None:
    """Return the first loss of a round; None if all goes well."""
    found = [
        Loss(_just_before(going.placements[s].end_s), going.placements[s].agent, "late")
        for s in owed
    ]
    beginnings: dict[int, Placement] = {}
    for subtask, placement in enumerate(going.placements):
        if subtask not in going.settled:
            agent = placement.agent
            beginnings[agent] = min(placement, beginnings.get(agent, placement))
    for first in beginnings.values():
        found += _of_agent(first, going.from_s, agents, script, round)
    return min(found, default=None)


def _of_agent(
    first: Placement, from_s: float, agents: int, script: Script, round: int
) -> list[Loss]:
    """Return the losses of an agent in a round, given its first new subtask."""
    found, agent = [], first.agent
    for fault, context in script.active(round):
        if agent in fault.absent(context, agents):
            found.append(Loss(from_s, agent, fault.kind))
        if fault.victim("train") == agent:
            found.append(Loss(first.start_s, agent, fault.kind))
        later = any(fault.victim(phase) == agent for phase in ("compose", "merge", "evaluate"))
        if later or (agent != script.master and is_refused(fault, agent, context)):
            found.append(Loss(_just_before(first.end_s), agent, fault.kind))
    return found


def _just_before(time_s: float) -> float:
    """Return the time before a subtask counts as done: its answer did not come, or was refused."""
    return float(np.nextafter(time_s, -np.inf))
