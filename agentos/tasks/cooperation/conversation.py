"""The conversation of a panel about class probabilities: who is asked, and what each agent answers.

Legend: Q queries, A agents.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.cooperation.panel import Panel, Queries
from agentos.tasks.cooperation.setting import NOT_ASKED, SILENT, Setting
from agentos.tasks.cooperation.traffic import Shapes, Traffic
from agents.answering import Answers, received
from agents.answering.answers import Labels
from protocols.errors import HostLost
from protocols.messages import Answer, Payload


class Conversation(Traffic):
    """The traffic of a panel that answers queries.

    Args:
        panel: the agents.
        queries: what is asked.
        setting: where they work.

    Attributes:
        said: `[Q, A]`, the class that each agent answered, or `SILENT` or `NOT_ASKED`.
    """

    def __init__(self, panel: Panel, queries: Queries, setting: Setting) -> None:
        super().__init__(queries.ids, setting)
        self.panel = panel
        self.queries = queries
        self.said: Labels = np.full((len(queries.ids), len(panel)), NOT_ASKED)
        self._read: dict[int, tuple[Labels, NDArray[np.floating]]] = {}

    def ask(self, agent: int, ids: Labels, after: Mapping[str, int]) -> Answers | None:
        """Return an agent's answers to some of the queries; None if its host has died.

        Args:
            agent: the agent.
            ids: the queries.
            after: steps that it waits for, and the bytes of each.
        """
        rows = self.rows(ids)
        try:
            if agent in self.victims():
                raise HostLost(f"the host of agent {agent} died", hint="see the fault script")
            embedded = self.panel.embed(agent, ids)
        except HostLost as error:
            self.lost.append(f"agent {agent} did not answer: {error}")
            self.said[rows, agent] = SILENT
            return None
        self._read[agent] = ids, embedded.features
        answers, flops = self.panel.answer(agent, Queries(self.queries.split, ids), embedded)
        self.flops[rows] += flops
        self.said[rows, agent] = np.where(
            answers.abstains, SILENT, answers.probabilities.argmax(axis=1)
        )
        self.step(f"answer of {agent}", agent, float(flops.sum()), after)
        return answers

    def features(self, agent: int, ids: Labels) -> NDArray[np.floating]:
        """Return the features `[Q, D]` of queries that an agent has answered: they are kept."""
        read, features = self._read[agent]
        order = np.argsort(read, kind="stable")
        return features[order[np.searchsorted(read, ids, sorter=order)]]

    def send_answers(
        self, answers: Answers, sender: int, receiver: int, flops: float
    ) -> tuple[Answers | None, int]:
        """Send answers; return what the receiver admitted of them, and their bytes."""
        speed = self.setting.timing.speeds.get(sender, np.inf)
        payload = answers.payload(self.setting.task, 0, flops, flops / speed)
        arrived, size = self.send(payload, sender, receiver, answers.ids)
        if arrived is None:
            return None, size
        return received(arrived, self.queries.split), size

    def shapes(self, payload: Payload, columns: int | None) -> Shapes:
        """Require a probability for each class of an answer, or for each of some columns."""
        width = self.panel.classes if columns is None else columns
        return {"probabilities": (None, width)} if isinstance(payload, Answer) else {}
