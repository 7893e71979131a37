"""The parts of a task as contracts: assigned, done and answered by messages, which faults may strike.

Legend: Q queries, G groups of a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Embedded
from agentos.tasks.cooperation.setting import SILENT
from agentos.tasks.decomposition import Division, Part
from agentos.tasks.decomposition.part_heads import FittedDivision
from agentos.tasks.planning.part_work import joining_flops
from agentos.tasks.planning.work_plan import PlannedWork
from agentos.tasks.scheduling.under_faults import Aftermath
from agentos.tasks.scheduling.workload import Arrow
from agents.answering import Answers, Examples, Head, received
from agents.answering.answers import Labels
from protocols.errors import HostLost
from protocols.messages import Assignment


@dataclass
class Contracts:
    """Parts that are handed out, done and handed back, as messages.

    Attributes:
        talk: the messages.
        fitted: heads of the parts.
        planned: the plan.
        master: agent that assigns and joins.
        answers: of each part, as they reached the master.
        sizes: bytes of messages, by the subtasks that they connect.
        spent: FLOPs of each subtask on an agent.
    """

    talk: Conversation
    fitted: FittedDivision
    planned: PlannedWork
    master: int
    answers: dict[str, Answers] = field(default_factory=dict)
    sizes: dict[Arrow, int] = field(default_factory=dict)
    spent: dict[tuple[int, int], float] = field(default_factory=dict)
    _embedded: dict[tuple[int, bytes], Embedded] = field(default_factory=dict)
    _done_by: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, each after those that it reads; the first is subtask 1."""
        return self.planned.work.parts

    def carry_out(self, after: Aftermath) -> None:
        """Hand out every part that begins, try by try, in the order in which they do."""
        for number, going in enumerate(after.tries, start=1):
            for subtask in after.begun(number - 1):
                if 1 <= subtask <= len(self.parts):
                    self.talk.begin_try(number, subtask)
                    self._hand(subtask, going.placements[subtask].agent)

    def complete(self, orders: Mapping[str, list[int]]) -> None:
        """Hand parts that are open to one agent after another: hosts die without a script, too.

        Raises:
            HostLost: no agent answers a part.
        """
        dead = self.talk.victims()
        for subtask, part in enumerate(self.parts, start=1):
            for agent in orders[part.name]:
                if part.name not in self.answers and agent not in dead:
                    self._hand(subtask, agent)
            if part.name not in self.answers:
                raise HostLost(
                    f"no agent answers the part {part.name!r}: {'; '.join(self.talk.lost[-3:])}",
                    hint="see the fault script, or let more models work",
                )

    def joined(self) -> Answers:
        """Join the answers of all parts; the master's work."""
        queries, talk = self.talk.queries, self.talk
        no = np.zeros(len(queries.ids), bool)
        in_sample = no.copy()
        for part in self.parts:
            rows = self._rows(part)
            talk.flops[rows] += joining_flops(part)
            in_sample[rows] |= self.answers[part.name].in_sample
        division = Division(talk.panel.classes, self.parts)
        found = division.join({name: each.probabilities for name, each in self.answers.items()})
        origins = {origin for each in self.answers.values() for origin in each.origins}
        return Answers(queries.split, queries.ids, found, no, in_sample, tuple(sorted(origins)))

    def _hand(self, subtask: int, agent: int) -> None:
        """Let an agent do a part; what the master receives of it replaces an earlier answer."""
        part, talk = self.parts[subtask - 1], self.talk
        ids = talk.queries.ids[self._rows(part)]
        if not self._assigned(subtask, agent, ids):
            return
        try:
            answers, flops = self._answered(part, agent, ids)
        except HostLost as error:
            talk.lost.append(f"agent {agent} did not answer {part.name}: {error}")
            return
        self.spent[subtask, agent] = flops
        if agent in talk.victims():
            talk.lost.append(f"agent {agent} died before it had answered {part.name}")
            return
        if agent != self.master:
            seconds = flops / talk.setting.timing.speeds[agent]
            payload = answers.payload(talk.setting.task, 0, flops, seconds)
            sent, size = talk.send(payload, agent, self.master, ids, len(part.groups))
            if sent is None:
                return
            answers = received(sent, talk.queries.split)
            self._sized(subtask, size)
        self.answers[part.name], self._done_by[part.name] = answers, agent

    def _assigned(self, subtask: int, agent: int, ids: Labels) -> bool:
        """Send an agent the ids of a part, and the answers that it reads; return whether all came."""
        part, talk = self.parts[subtask - 1], self.talk
        if any(name not in self.answers for name in part.reads):
            return False
        if agent == self.master:
            return True
        planned = self.planned.schedule.placements[subtask]
        deadline_s = planned.end_s + talk.setting.deadline_s
        task, start_s = talk.setting.task, planned.start_s
        work = Assignment(task=task, attempt=0, ids=ids, start_s=start_s, deadline_s=deadline_s)
        arrived, size = talk.send(work, self.master, agent, ids)
        self.sizes[0, subtask] = size
        for name in part.reads:
            if self._done_by[name] != agent and arrived is not None:
                known = self.answers[name]
                columns = known.probabilities.shape[1]
                passed_on = known.payload(task, 0, 0.0, 0.0)
                found, _ = talk.send(passed_on, self.master, agent, ids, columns)
                arrived = None if found is None else arrived
        return arrived is not None

    def _answered(self, part: Part, agent: int, ids: Labels) -> tuple[Answers, float]:
        """Return an agent's answers to a part, and their FLOPs: texts that it has read cost nothing again."""
        talk, rows = self.talk, self._rows(part)
        key = agent, b"" if part.rows is None else part.rows.tobytes()
        flops = np.full(len(ids), self._head(part, agent).flops)
        if key not in self._embedded:
            self._embedded[key] = talk.panel.embed(agent, ids)
            flops += talk.panel.embedding_flops(agent, self._embedded[key].tokens)
        own = Examples(talk.queries.split, ids, self._embedded[key].features)
        read = {name: self.answers[name].probabilities for name in part.reads}
        answers = self.fitted.answer_part(part, agent, own, read)
        talk.flops[rows] += flops
        best = answers.probabilities.argmax(axis=1)
        single = np.array([g[0] if len(g) == 1 else SILENT for g in part.groups])
        talk.said[rows, agent] = single[best]
        return answers, float(flops.sum())

    def _head(self, part: Part, agent: int) -> Head:
        return next(each.head for each in self.fitted.of(part) if each.agent == agent)

    def _rows(self, part: Part) -> Labels:
        return np.arange(len(self.talk.queries.ids)) if part.rows is None else part.rows

    def _sized(self, subtask: int, size: int) -> None:
        for source, reader in self.planned.workload.arrows:
            if source == subtask:
                self.sizes[source, reader] = size
