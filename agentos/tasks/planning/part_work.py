"""The work of parts: FLOPs of embedding and answering, bytes of messages, and who embeds what once.

Legend: N texts, A agents, P parts, S subtasks: the parts, between `ASSIGN` and `JOIN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.decomposition.division import Part
from agentos.tasks.library import ModelCard
from agentos.tasks.scheduling import Subtask
from agentos.tasks.scheduling.placements import Schedule
from agentos.tasks.scheduling.workload import Workload
from protocols.errors import ConfigurationError
from protocols.messages import Announcement, Answer, Assignment, Bid, Envelope, Message, Payload
from protocols.wire.sizes import message_bytes, uncoded_bytes

ASSIGN, JOIN = "assign", "join"
"""The first and the last subtask, both the master's."""
_SCALARS: Mapping[str, Any] = {"attempt": 0}
_ORIGIN = "0" * 32


@dataclass(frozen=True)
class Worker:
    """An agent that may get a part of a task.

    Attributes:
        card: its model.
        lengths: `[N]`, tokens of each text, as its tokenizer counts them.
        longest: tokens that a text may have; None for those of the longest of these.
        features: width of what its heads read; None for that of its embeddings.
        examples: texts that its accuracy was measured on.
    """

    card: ModelCard
    lengths: NDArray[np.int64]
    longest: int | None = None
    features: int | None = None
    examples: int = 1

    def embedding_flops(self, rows: NDArray[np.int64] | None = None) -> float:
        """Return the FLOPs of embedding texts, all taken to be as long as the longest."""
        lengths = self.lengths if rows is None else self.lengths[rows]
        if not len(lengths):
            return 0.0
        longest = int(lengths.max()) if self.longest is None else self.longest
        return float(self.card.flops(longest, int(lengths.sum())))

    def head_flops(self, part: Part, read: int) -> float:
        """Return the FLOPs of a linear head's answers; see `agents.answering.Head.flops`.

        Args:
            part: what is answered.
            read: groups of the parts that it reads.
        """
        width, groups = (self.features or self.card.width) + read, len(part.groups)
        texts = len(self.lengths if part.rows is None else part.rows)
        return float(texts * (2 * width * groups + 3 * width + 5 * groups))


@dataclass(frozen=True)
class PartWork:
    """The parts of a task as subtasks of some agents.

    Attributes:
        parts: P parts, each after those that it reads.
        workers: A agents.
        master: agent that hands out the texts and joins the answers.
        task: name of the task in messages.
    """

    parts: tuple[Part, ...]
    workers: tuple[Worker, ...]
    master: int = 0
    task: str = "task"

    def subtasks(self) -> list[Subtask]:
        """Return the S subtasks."""
        parts = [self._subtask(place, part) for place, part in enumerate(self.parts, start=1)]
        return [Subtask(name=ASSIGN, work=0.0, agents=(self.master,)), *parts, self._joining()]

    def texts(self, part: Part) -> int:
        """Return how many texts a part answers."""
        return len(self.workers[0].lengths if part.rows is None else part.rows)

    def seconds(
        self, workload: Workload, schedule: Schedule, speeds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return `[S, A]`: seconds in which only an agent's first part about the same texts embeds them.

        Args:
            workload: of these subtasks.
            schedule: who does what, in which order.
            speeds: `[A]`, FLOPs a second.
        """
        seconds = workload.seconds.copy()
        known: set[tuple[int, tuple[int, ...] | None]] = set()
        # After `ASSIGN`; what is free begins together with what follows it.
        for place in sorted(range(1, len(self.parts) + 1), key=lambda s: schedule.placements[s]):
            part, agent = self.parts[place - 1], schedule.placements[place].agent
            texts = (agent, None if part.rows is None else tuple(part.rows.tolist()))
            if texts in known:
                seconds[place, agent] = self._head(part, self.workers[agent]) / speeds[agent]
            known.add(texts)
        return seconds

    def works(self, part: Part) -> list[float]:
        """Return `[A]`: the FLOPs of a part on each agent."""
        return [w.embedding_flops(part.rows) + self._head(part, w) for w in self.workers]

    def _head(self, part: Part, worker: Worker) -> float:
        read = sum(len(each.groups) for each in self.parts if each.name in part.reads)
        return worker.head_flops(part, read)

    def _subtask(self, place: int, part: Part) -> Subtask:
        places = {each.name: number for number, each in enumerate(self.parts, start=1)}
        read = {name: self._answer_bytes(places[name]) for name in part.reads}
        assigned = assignment_bytes(self.texts(part), self.task, place)
        return Subtask(
            name=part.name,
            work=tuple(self.works(part)),
            after={ASSIGN: assigned, **read},
            floor=part.floor,
            agents=self._numbers(part),
        )

    def _answer_bytes(self, place: int) -> int:
        part = self.parts[place - 1]
        return answer_bytes(self.texts(part), len(part.groups), self.task, place)

    def _joining(self) -> Subtask:
        sizes = {
            part.name: self._answer_bytes(place) for place, part in enumerate(self.parts, start=1)
        }
        work = sum(joining_flops(part) * self.texts(part) for part in self.parts)
        return Subtask(name=JOIN, work=work, after=sizes, agents=(self.master,))

    def _numbers(self, part: Part) -> tuple[int, ...] | None:
        if part.agents is None:
            return None
        names = [worker.card.name for worker in self.workers]
        if unknown := [name for name in part.agents if name not in names]:
            raise ConfigurationError(
                f"the subtask {part.name!r} names an agent that was not selected",
                expected=f"some of {', '.join(names)}",
                actual=unknown[0],
                hint="correct the name in its `agents`, or select more models",
            )
        return tuple(names.index(name) for name in part.agents)


def joining_flops(part: Part) -> float:
    """Return the FLOPs of joining a part's answer to one text."""
    return 2.0 * len(part.groups)


def answer_bytes(texts: int, groups: int, task: str = "task", hop: int = 0) -> int:
    """Return the size of a message with answers.

    Example:
        >>> answer_bytes(texts=1000, groups=20) - answer_bytes(texts=999, groups=20)
        90
    """
    shapes = {
        "probabilities": (texts, groups),
        **dict.fromkeys(("ids", "abstains", "in_sample"), (texts,)),
    }
    scalars = {**_SCALARS, "origins": (_ORIGIN,), "flops": 0.0, "seconds": 0.0}
    return _bytes(Answer, shapes, {**scalars, "task": task}, hop)


def assignment_bytes(texts: int, task: str = "task", hop: int = 0) -> int:
    """Return the size of a message with the ids of texts to answer."""
    scalars = {**_SCALARS, "task": task, "start_s": 0.0, "deadline_s": 0.0}
    return _bytes(Assignment, {"ids": (texts,)}, scalars, hop)


def _bytes(
    payload: type[Payload], shapes: Mapping[str, tuple[int, ...]], scalars: Any, hop: int
) -> int:
    envelope = Envelope(sender=0, round=1, hop=hop, kind=payload.kind)
    return message_bytes(envelope, payload, shapes, scalars)


def bidding_bytes(work: PartWork, agent: int) -> tuple[int, int]:
    """Return the sizes of a master's announcement to an agent, and of the agent's bid; 0 to itself."""
    if agent == work.master:
        return 0, 0
    worker = work.workers[agent]
    classes = max(each for part in work.parts for each in part.classes) + 1
    queries = len(worker.lengths)
    call = Announcement(task=work.task, classes=classes, queries=queries, tokens=0.0, floor=0.0)
    bid = Bid(
        task=work.task,
        origins=(_ORIGIN,),
        accuracy=0.0,
        examples=worker.examples,
        ready_s=0.0,
        seconds=0.0,
        flops=0.0,
    )
    sizes = [uncoded_bytes(Message.compose(each, sender=0, round=1, hop=0)) for each in (call, bid)]
    return sizes[0], sizes[1]
