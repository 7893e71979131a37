"""A schedule carried out under a fault script: agents die, stall or lie, and others do their subtasks.

The first schedule is round 1 of the script, each further one the next round. In it an agent is lost

- at once where a fault has it away, or kills its host at the phase ``train``; at the end of its first subtask
  where its host dies at another phase,
- at the end of its first subtask where its answers are altered so that a receiver refuses them,
- a deadline after the planned end of a subtask whose answer does not arrive by then.

Later answers within the deadline, or with no deadline at all, only lengthen the schedule. A subtask whose
assignment does not arrive has no answer. The master sends itself no messages, so no fault strikes its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from agentos.rounds.faults import Fault
from agentos.rounds.faults.base import FaultContext, Transmission
from agentos.rounds.faults.policies import PolicyConfig, in_time, sendings
from agentos.tasks.scheduling.base import Scheduler
from agentos.tasks.scheduling.execution import execute, reschedule
from agentos.tasks.scheduling.placements import Placement, Schedule
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import RejectedMessage
from protocols.messages import Answer, Assignment

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


@dataclass(frozen=True)
class Script:
    """Faults, and the policy about late answers.

    Attributes:
        faults: in the order in which they strike.
        policy: deadline and retries.
        seed: the run's seed.
        master: agent that hands out the subtasks and receives the answers.
    """

    faults: tuple[Fault, ...] = ()
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    seed: int = 0
    master: int = 0

    def active(self, round: int, hop: int = -1) -> list[tuple[Fault, FaultContext]]:
        """Return the faults of a round, each with the context in which it may strike."""
        return [
            (fault, FaultContext(self.seed, index, round, hop))
            for index, fault in enumerate(self.faults)
            if fault.is_on(round)
        ]


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
        late = _lateness(workload, script, round)
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
        if later or (agent != script.master and _is_refused(fault, agent, context)):
            found.append(Loss(_just_before(first.end_s), agent, fault.kind))
    return found


def _just_before(time_s: float) -> float:
    """Return the time before a subtask counts as done: its answer did not come, or was refused."""
    return float(np.nextafter(time_s, -np.inf))


def _is_refused(fault: Fault, agent: int, context: FaultContext) -> bool:
    """Return whether receivers refuse the answers that a faulty agent sends; a sample tells."""
    alteration = fault.alteration(agent, context)
    if alteration is None or not fault.alters(Answer):
        return False
    try:
        alteration(_SAMPLE).check_values(agent)
    except (RejectedMessage, ValidationError):
        return True
    return False


class Lateness(NamedTuple):
    """Late answers of each agent to each subtask.

    Attributes:
        waited: `[S, A]`, seconds that are waited for it, at most until the deadline.
        missed: `[S, A]`, whether it does not come by then.
    """

    waited: NDArray[np.float64]
    missed: NDArray[np.bool_]


def _lateness(workload: Workload, script: Script, round: int) -> Lateness:
    late = np.zeros((workload.subtasks, workload.agents))
    if script.faults:
        for subtask, agent in np.ndindex(*late.shape):
            if agent != script.master:
                late[subtask, agent] = _delay(script, round, subtask, agent)
    missed = np.vectorize(lambda each: np.isinf(each) or not in_time(each, script.policy))(late)
    return Lateness(np.where(missed, script.policy.deadline_s or 0.0, late), missed.astype(bool))


def _delay(script: Script, round: int, subtask: int, agent: int) -> float:
    """Return by how many seconds an answer is late; infinity if it, or its assignment, never comes."""
    given = Transmission(script.master, agent, (script.master, subtask), Assignment.kind)
    answer = Transmission(agent, script.master, (agent, subtask), Answer.kind)
    return sum(_lateness_of(message, script, round, subtask) for message in (given, answer))


def _lateness_of(sent: Transmission, script: Script, round: int, subtask: int) -> float:
    """Return by how many seconds a message is late; infinity if it never comes."""
    arrived: list[Transmission] = []

    def is_lost(attempt: int) -> bool:
        messages = [sent]
        for fault, context in script.active(round, subtask):
            again = replace(context, attempt=attempt)
            messages = [out for each in messages for out in fault.transmit(each, again)]
        arrived[:] = [each for each in messages if not each.lost and not each.rounds_late]
        return not arrived

    _, arrives = sendings(is_lost, script.policy)
    return min(each.arrival_s for each in arrived) if arrives else np.inf


_SAMPLE = Answer(
    task="sample",
    attempt=0,
    origins=("0" * 16,),
    ids=np.arange(2),
    probabilities=np.array([[0.75, 0.25], [0.4, 0.6]], np.float32),
    abstains=np.zeros(2, np.uint8),
    in_sample=np.zeros(2, np.uint8),
    flops=0.0,
    seconds=0.0,
)
