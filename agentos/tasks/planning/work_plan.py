"""The plan of a task before anything runs: who does what when, for how many FLOPs and bytes.

The master hands out the texts by their ids, agents embed and answer them, and the master joins the answers.
An agent that gets several parts about the same texts embeds these once.

Legend: N texts, A agents, S subtasks, G groups of a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from agentos.rounds.clock.timing import Timing
from agentos.tasks.decomposition.division import Division, Part
from agentos.tasks.library import ModelCard
from agentos.tasks.scheduling import Scheduler, Subtask
from agentos.tasks.scheduling.execution import execute
from agentos.tasks.scheduling.placements import Schedule
from agentos.tasks.scheduling.workload import Workload, workload_of
from protocols.errors import ConfigurationError
from protocols.messages import Answer, Assignment, Envelope, Payload
from protocols.wire.sizes import message_bytes

ASSIGN, JOIN = "assign", "join"
"""The first and the last subtask, both the master's."""
_SCALARS: Mapping[str, Any] = {"task": "task", "attempt": 0}


@dataclass(frozen=True)
class Worker:
    """An agent that may get a part of a task.

    Attributes:
        card: its model.
        lengths: `[N]`, tokens of each text, as its tokenizer counts them.
    """

    card: ModelCard
    lengths: NDArray[np.int64]

    def embedding_flops(self, rows: NDArray[np.int64] | None = None) -> float:
        """Return the FLOPs of embedding texts, all taken to be as long as the longest of them."""
        lengths = self.lengths if rows is None else self.lengths[rows]
        return (
            float(self.card.flops(int(lengths.max()), int(lengths.sum()))) if len(lengths) else 0.0
        )


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


def plan_work(
    parts: Division | Sequence[Part],
    workers: Sequence[Worker],
    timing: Timing,
    scheduler: Scheduler,
    fitness: NDArray[np.float64] | None = None,
    seed: int = 0,
    master: int = 0,
) -> WorkPlan:
    """Return who does which part when.

    Args:
        parts: a division, or parts that are all joined at the end.
        workers: the A agents.
        timing: speeds in FLOPs a second, latencies and bandwidths.
        scheduler: decides.
        fitness: accuracy of each agent at each part; None lets every agent do each.
        seed: the run's seed.
        master: agent that hands out the texts and joins the answers.

    Raises:
        ConfigurationError: an agent is unknown, or a part is left without one.
    """
    every = list(parts.order if isinstance(parts, Division) else parts)
    subtasks = [
        Subtask(name=ASSIGN, work=0.0, agents=(master,)),
        *(_subtask(part, every, workers) for part in every),
        _joining(every, workers, master),
    ]
    if fitness is not None:
        by_name = dict(zip([part.name for part in _given(parts)], fitness, strict=True))
        able = np.ones(len(workers))
        fitness = np.stack([able, *(by_name[part.name] for part in every), able])
    workload = workload_of(subtasks, timing, fitness)
    planned = scheduler.plan(workload, seed)
    speeds = np.array([timing.speeds[agent] for agent in range(len(workers))])
    seconds = _embedded_once(every, workers, speeds, workload, planned)
    schedule = execute(workload, planned, seconds)
    flops = np.zeros(len(workers))
    for subtask, placement in enumerate(schedule.placements):
        flops[placement.agent] += seconds[subtask, placement.agent] * speeds[placement.agent]
    names = tuple(worker.card.name for worker in workers)
    return WorkPlan(workload.names, names, schedule, flops, _sent(workload, schedule, timing))


def _given(parts: Division | Sequence[Part]) -> Sequence[Part]:
    return parts.parts if isinstance(parts, Division) else parts


def _subtask(part: Part, every: Sequence[Part], workers: Sequence[Worker]) -> Subtask:
    texts = _texts(part, workers)
    named = {each.name: each for each in every}
    read = {name: answer_bytes(texts, len(named[name].groups)) for name in part.reads}
    work = [worker.embedding_flops(part.rows) + _head(part, worker) for worker in workers]
    return Subtask(
        name=part.name,
        work=tuple(work),
        after={ASSIGN: assignment_bytes(texts), **read},
        floor=part.floor,
        agents=_numbers(part, workers),
    )


def _joining(every: Sequence[Part], workers: Sequence[Worker], master: int) -> Subtask:
    sizes = {part.name: answer_bytes(_texts(part, workers), len(part.groups)) for part in every}
    work = sum(2.0 * _texts(part, workers) * len(part.groups) for part in every)
    return Subtask(name=JOIN, work=work, after=sizes, agents=(master,))


def _texts(part: Part, workers: Sequence[Worker]) -> int:
    return len(workers[0].lengths if part.rows is None else part.rows)


def _head(part: Part, worker: Worker) -> float:
    """Return the FLOPs of a linear head's answers; see `agents.answering.Head.flops`."""
    width, groups = worker.card.width, len(part.groups)
    return float(_texts(part, [worker]) * (2 * width * groups + 3 * width + 5 * groups))


def _numbers(part: Part, workers: Sequence[Worker]) -> tuple[int, ...] | None:
    if part.agents is None:
        return None
    names = [worker.card.name for worker in workers]
    if unknown := [name for name in part.agents if name not in names]:
        raise ConfigurationError(
            f"the subtask {part.name!r} names an agent that was not selected",
            expected=f"some of {', '.join(names)}",
            actual=unknown[0],
            hint="correct the name in its `agents`, or select more models",
        )
    return tuple(names.index(name) for name in part.agents)


def _embedded_once(
    every: Sequence[Part],
    workers: Sequence[Worker],
    speeds: NDArray[np.float64],
    workload: Workload,
    planned: Schedule,
) -> NDArray[np.float64]:
    """Return `[S, A]`: seconds in which only an agent's first part about the same texts embeds them."""
    seconds = workload.seconds.copy()
    known: set[tuple[int, tuple[int, ...] | None]] = set()
    places = sorted(
        range(1, len(every) + 1), key=lambda each: planned.placements[each].start_s
    )  # after assign
    for place in places:
        part, agent = every[place - 1], planned.placements[place].agent
        texts = (agent, None if part.rows is None else tuple(part.rows.tolist()))
        if texts in known:
            seconds[place, agent] = _head(part, workers[agent]) / speeds[agent]
        known.add(texts)
    return seconds


def _sent(workload: Workload, schedule: Schedule, timing: Timing) -> NDArray[np.int64]:
    """Return `[A]`: bytes that leave each agent, along the quickest paths."""
    sent = np.zeros(workload.agents, np.int64)
    for (source, reader), size in workload.arrows.items():
        sender, receiver = schedule.placements[source].agent, schedule.placements[reader].agent
        if sender != receiver:
            links = nx.DiGraph()
            links.add_weighted_edges_from(
                (one, other, timing.transit_s(one, other, size)) for one, other in timing.latency_s
            )
            for agent in nx.shortest_path(links, sender, receiver, weight="weight")[:-1]:
                sent[agent] += size
    return sent


def answer_bytes(texts: int, groups: int) -> int:
    """Return the size of a message with answers.

    Example:
        >>> answer_bytes(texts=1000, groups=20) - answer_bytes(texts=999, groups=20)
        90
    """
    shapes = {
        "probabilities": (texts, groups),
        **dict.fromkeys(("ids", "abstains", "in_sample"), (texts,)),
    }
    scalars = {**_SCALARS, "origins": ("0" * 32,), "flops": 0.0, "seconds": 0.0}
    return _bytes(Answer, shapes, scalars)


def assignment_bytes(texts: int) -> int:
    """Return the size of a message with the ids of texts to answer."""
    return _bytes(Assignment, {"ids": (texts,)}, {**_SCALARS, "start_s": 0.0, "deadline_s": 0.0})


def _bytes(payload: type[Payload], shapes: Mapping[str, tuple[int, ...]], scalars: Any) -> int:
    envelope = Envelope(sender=0, round=1, hop=0, kind=payload.kind)
    return message_bytes(envelope, payload, shapes, scalars)
