"""The plan of a task before anything runs: who does what when, for how many FLOPs and bytes.

The master announces the task, takes bids, and hands out the texts by their ids; agents embed and answer them,
and the master joins the answers. An agent that gets several parts about the same texts embeds these once.

Legend: N texts, A agents, S subtasks, G groups of a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agentos.rounds.clock.timing import Timing
from agentos.tasks.decomposition.division import Division, Part
from agentos.tasks.planning.part_work import JOIN, PartWork, Worker, bidding_bytes
from agentos.tasks.scheduling import Scheduler
from agentos.tasks.scheduling.execution import execute
from agentos.tasks.scheduling.placements import Placement, Schedule
from agentos.tasks.scheduling.workload import Workload, transit_between, workload_of


@dataclass(frozen=True)
class WorkPlan:
    """A planned task.

    Attributes:
        subtasks: name of each of the S subtasks.
        agents: name of each of the A agents.
        schedule: where and when each subtask is done.
        flops: `[A]`.
        sent_bytes: `[A]`, of each agent's own messages and of those that it passes on.
    """

    subtasks: tuple[str, ...]
    agents: tuple[str, ...]
    schedule: Schedule
    flops: NDArray[np.float64]
    sent_bytes: NDArray[np.int64]

    @property
    def makespan_s(self) -> float:
        """Seconds until all answers are joined."""
        return self.schedule.makespan_s

    def as_json(self) -> dict[str, Any]:
        """Return what `agentos plan --json` prints."""
        return {
            "makespan_s": self.makespan_s,
            "agents": [
                {"name": name, "flops": float(flops), "sent_bytes": int(sent)}
                for name, flops, sent in zip(self.agents, self.flops, self.sent_bytes, strict=True)
            ],
            "subtasks": [
                {
                    "name": name,
                    "agent": self.agents[at.agent],
                    "start_s": at.start_s,
                    "end_s": at.end_s,
                }
                for name, at in zip(self.subtasks, self.schedule.placements, strict=True)
            ],
        }


def everyone_answers(classes: int, workers: Sequence[Worker]) -> list[Part]:
    """Return a part for each agent, all about the whole task: what a fusion needs.

    They are no division, because each of them is an answer already.
    """
    groups = tuple((each,) for each in range(classes))
    return [Part(worker.card.name, groups, agents=(worker.card.name,)) for worker in workers]


@dataclass(frozen=True)
class Rules:
    """Rules of a plan: who decides, and who may get what.

    Attributes:
        scheduler: decides who does what when.
        fitness: `[P, A]`, accuracy of each agent at each part, in the order in which they were given; None
            lets every agent do each.
        spare: `[P, A]`, the same for agents that get a part once no other is left; None for no agent.
        seed: the run's seed.
        master: agent that hands out the texts and joins the answers.
        task: name of the task in messages.
    """

    scheduler: Scheduler
    fitness: NDArray[np.float64] | None = None
    spare: NDArray[np.float64] | None = None
    seed: int = 0
    master: int = 0
    task: str = "task"


@dataclass(frozen=True)
class PlannedWork:
    """Work that is scheduled, ready to be carried out.

    Attributes:
        work: the parts.
        workload: the S subtasks.
        schedule: who does what in which order; times are those of subtasks that share nothing.
        speeds: `[A]`, FLOPs a second.
        bidding_s: seconds until the master has all bids, before the schedule begins.
    """

    work: PartWork
    workload: Workload
    schedule: Schedule
    speeds: NDArray[np.float64]
    bidding_s: float

    def lasting(self, schedule: Schedule) -> NDArray[np.float64]:
        """Return the seconds `[S, A]` of subtasks under a schedule; see `PartWork.seconds`."""
        return self.work.seconds(self.workload, schedule, self.speeds)


def schedule_work(
    parts: Division | Sequence[Part], workers: Sequence[Worker], timing: Timing, rules: Rules
) -> PlannedWork:
    """Return who does which part in which order.

    Args:
        parts: a division, or parts that are all joined at the end.
        workers: the A agents.
        timing: speeds in FLOPs a second, latencies and bandwidths.
        rules: who decides, and who may get what.

    Raises:
        ConfigurationError: an agent is unknown, or a part is left without one.
    """
    every = parts.order if isinstance(parts, Division) else tuple(parts)
    work = PartWork(every, tuple(workers), rules.master, rules.task)
    workload = _workload(parts, work, timing, rules)
    schedule = rules.scheduler.plan(workload, rules.seed)
    speeds = np.array([timing.speeds[agent] for agent in range(len(workers))])
    return PlannedWork(work, workload, schedule, speeds, _bidding_s(work, timing))


def plan_work(
    parts: Division | Sequence[Part], workers: Sequence[Worker], timing: Timing, rules: Rules
) -> WorkPlan:
    """Return who does which part when; see `schedule_work`."""
    planned = schedule_work(parts, workers, timing, rules)
    workload, seconds = planned.workload, planned.lasting(planned.schedule)
    schedule = execute(workload, planned.schedule, seconds)
    flops = np.zeros(len(workers))
    for subtask, placement in enumerate(schedule.placements):
        spent = seconds[subtask, placement.agent] * planned.speeds[placement.agent]
        flops[placement.agent] += spent
    names = tuple(worker.card.name for worker in workers)
    sent = _sent(planned, schedule, timing)
    return WorkPlan(workload.names, names, _later(schedule, planned.bidding_s), flops, sent)


def _workload(
    parts: Division | Sequence[Part], work: PartWork, timing: Timing, rules: Rules
) -> Workload:
    subtasks = work.subtasks()
    given = parts.parts if isinstance(parts, Division) else parts
    places = {part.name: place for place, part in enumerate(given)}
    order = [places[part.name] for part in work.parts]
    every = np.ones((1, len(work.workers)))

    def rows(of_parts: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([every, of_parts[order], every])

    fitness = None if rules.fitness is None else rows(rules.fitness)
    workload = workload_of(subtasks, timing, fitness)
    if rules.spare is None:
        return workload
    allowed = workload_of(subtasks, timing, rows(rules.spare)).allowed
    return workload.sparing(allowed | workload.allowed)


def _bidding_s(work: PartWork, timing: Timing) -> float:
    """Return the seconds until the master has all bids."""
    latest = 0.0
    for agent in range(len(work.workers)):
        call, bid = bidding_bytes(work, agent)
        there, back = (transit_between(timing, size) for size in (call, bid))
        latest = max(latest, float(there[work.master, agent] + back[agent, work.master]))
    return latest


def _later(schedule: Schedule, seconds: float) -> Schedule:
    """Return a schedule that begins so many seconds later."""
    moved = tuple(
        Placement(at.start_s + seconds, at.end_s + seconds, at.agent) for at in schedule.placements
    )
    return Schedule(moved, schedule.settled, schedule.from_s + seconds)


def _sent(planned: PlannedWork, schedule: Schedule, timing: Timing) -> NDArray[np.int64]:
    """Return `[A]`: bytes that leave each agent, along the quickest paths.

    The master has the answers that it is to join: where one passes it on the way to another reader, the
    master sends it on.
    """
    work, workload = planned.work, planned.workload
    sent = np.zeros(workload.agents, np.int64)
    for agent in range(workload.agents):
        call, bid = bidding_bytes(work, agent)
        sent += _senders(work.master, agent, call, timing)
        sent += _senders(agent, work.master, bid, timing)
    for (source, reader), size in workload.arrows.items():
        sender, receiver = schedule.placements[source].agent, schedule.placements[reader].agent
        to_join = workload.names[reader] == JOIN
        known_by = None if to_join else work.master
        sent += _senders(sender, receiver, size, timing, known_by)
    return sent


def _senders(
    sender: int, receiver: int, size: int, timing: Timing, known_by: int | None = None
) -> NDArray[np.int64]:
    """Return `[A]`: the bytes of a message at each agent that sends it, from one that knows it already on."""
    sent = np.zeros(len(timing.speeds), np.int64)
    if sender == receiver:
        return sent
    links = nx.DiGraph()
    links.add_weighted_edges_from(
        (one, other, timing.transit_s(one, other, size)) for one, other in timing.latency_s
    )
    path = nx.shortest_path(links, sender, receiver, weight="weight")
    path = path[path.index(known_by) :] if known_by in path else path
    sent[path[:-1]] = size
    return sent
