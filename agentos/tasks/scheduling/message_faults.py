"""The fate of the messages about subtasks under a fault script: late, lost, refused or sound."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from agentos.rounds.faults import Fault
from agentos.rounds.faults.base import FaultContext, Transmission
from agentos.rounds.faults.policies import PolicyConfig, in_time, sendings
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import RejectedMessage
from protocols.messages import Answer, Assignment, Message
from protocols.wire.serialize import encode
from protocols.wire.validate import Expectation, admit


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


def is_refused(fault: Fault, agent: int, context: FaultContext) -> bool:
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
        missed: `[S, A]`, whether it does not come by then, or is refused when it comes.
    """

    waited: NDArray[np.float64]
    missed: NDArray[np.bool_]


def lateness_of(workload: Workload, script: Script, round: int) -> Lateness:
    """Return how late the answers of every agent to every subtask are in a round."""
    late = np.zeros((workload.subtasks, workload.agents))
    refused = np.zeros(late.shape, bool)
    if script.faults:
        for subtask, agent in np.ndindex(*late.shape):
            if agent != script.master:
                late[subtask, agent], refused[subtask, agent] = _fate(script, round, subtask, agent)
    missed = np.vectorize(lambda each: np.isinf(each) or not in_time(each, script.policy))(late)
    waited = np.where(missed, script.policy.deadline_s or 0.0, late)
    return Lateness(waited, missed.astype(bool) | refused)


def _fate(script: Script, round: int, subtask: int, agent: int) -> tuple[float, bool]:
    """Return by how many seconds an answer is late, infinity if it never comes, and whether it is refused."""
    given = Transmission(script.master, agent, (script.master, subtask), Assignment.kind)
    answer = Transmission(agent, script.master, (agent, subtask), Answer.kind)
    begun_s, unread = _arrival(given, script, round, subtask)
    late_s, refused = _arrival(answer, script, round, subtask)
    return np.inf if unread else begun_s + late_s, refused


def _arrival(sent: Transmission, script: Script, round: int, subtask: int) -> tuple[float, bool]:
    """Return by how many seconds a message is late, infinity if it never comes, and whether it is refused."""
    arrived: list[Transmission] = []

    def is_lost(attempt: int) -> bool:
        messages = [sent]
        for fault, context in script.active(round, subtask):
            again = replace(context, attempt=attempt)
            messages = [out for each in messages for out in fault.transmit(each, again)]
        arrived[:] = [each for each in messages if not each.lost and not each.rounds_late]
        return not arrived

    _, arrives = sendings(is_lost, script.policy)
    if not arrives:
        return np.inf, False
    sound = [each for each in arrived if not _is_spoilt(each, round, subtask)]
    return min(each.arrival_s for each in sound or arrived), not sound


def _is_spoilt(arrived: Transmission, round: int, hop: int) -> bool:
    """Return whether a receiver refuses a message because of damage in flight."""
    if not arrived.damage:
        return False
    sample: Answer | Assignment = _SAMPLE if arrived.kind == Answer.kind else _WORK
    data = encode(Message.compose(sample, sender=arrived.sender, round=round, hop=hop))
    for damage in arrived.damage:
        data = damage(data)
    senders, queries = frozenset({arrived.sender}), frozenset(sample.ids.tolist())
    try:
        admit(data, Expectation(round, hop, senders, type(sample), task="sample", queries=queries))
    except RejectedMessage:
        return True
    return False


_WORK = Assignment(task="sample", attempt=0, ids=np.arange(2), start_s=0.0, deadline_s=1.0)
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
