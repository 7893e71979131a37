"""The joint evaluation of a run: every text asked for once, every panel evaluated once, and their cost.

Shapes: N texts, W width of one agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from agentos.evaluation.evaluator import Evaluator
from agentos.evaluation.joint.joint_config import PREFIX, Panel
from agentos.evaluation.joint.joint_encoder import JointEncoder
from agents.models.text_encoder import LabelScores
from protocols.spec import Spec

Asked = Mapping[int, tuple[NDArray[np.float32], int]]
"""Embeddings `[N, W]` of the same texts by several agents, and the tokens that each read."""
Voted = Mapping[int, "tuple[LabelScores | None, int]"]
"""Class probabilities of the same texts by several agents, and the tokens that each read; None and 0 from
those without a classifier."""


class Society(Protocol):
    """The agents as those who ask them see them."""

    def embed(self, texts: Sequence[str], agents: Sequence[int]) -> Asked:
        """Let agents embed texts."""

    def classify(self, texts: Sequence[str], agents: Sequence[int]) -> Voted:
        """Let agents classify texts."""


class Answers:
    """Embeddings of texts by all agents that are asked, each text asked for once.

    Args:
        society: answers.
        agents: agents that every text is sent to.

    Attributes:
        tokens: tokens that each agent has read, to embed and to classify.
        widths: width of each agent's embeddings.
    """

    def __init__(self, society: Society, agents: Sequence[int]) -> None:
        self._society = society
        self._agents = tuple(agents)
        self._rows: dict[str, tuple[NDArray[np.float32], ...]] = {}
        self.tokens = dict.fromkeys(self._agents, 0)
        self.widths = dict.fromkeys(self._agents, 0)
        self._votes: dict[tuple[str, ...], Voted] = {}

    def of(self, panel: Panel, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embeddings `[N, W]` of texts by each agent of a panel."""
        self._learn([text for text in dict.fromkeys(texts) if text not in self._rows])
        places = [self._agents.index(agent) for agent in panel]
        return [np.stack([self._rows[text][place] for text in texts]) for place in places]

    def votes(self, panel: Panel, texts: Sequence[str]) -> list[LabelScores | None]:
        """Return the class probabilities of texts by each agent of a panel."""
        key = tuple(texts)
        if key not in self._votes:
            self._votes[key] = self._society.classify(texts, self._agents)
            for agent in self._agents:
                self.tokens[agent] += self._votes[key][agent][1]
        return [self._votes[key][agent][0] for agent in panel]

    def _learn(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        found = self._society.embed(texts, self._agents)
        for agent in self._agents:
            rows, tokens = found[agent]
            self.tokens[agent] += tokens
            self.widths[agent] = rows.shape[1]
        # Copies: a row would keep the whole answer alive.
        for place, text in enumerate(texts):
            self._rows[text] = tuple(found[agent][0][place].copy() for agent in self._agents)

    def cost(self, agent: int, panel: Panel, flops: Callable[[int, int], int]) -> dict[str, float]:
        """Return what the texts asked for so far cost an agent, by the names of `JointCost`.

        Args:
            agent: the agent that asks; its own embedding travels nowhere.
            panel: the agents that answer.
            flops: operations of an agent for so many tokens.
        """
        others = [member for member in panel if member != agent]
        texts = {*self._rows, *(text for asked in self._votes for text in asked)}
        size = sum(len(text.encode()) for text in texts)
        answers = len(self._rows) * sum(4 * self.widths[i] for i in others)
        votes = [voted[i][0] for voted in self._votes.values() for i in others]
        answers += sum(4 * vote.probabilities.size for vote in votes if vote is not None)
        return {
            "joint_asked": len(others),
            "joint_texts": len(texts),
            "joint_query_bytes": size * len(others),
            "joint_answer_bytes": answers,
            "joint_flops": sum(flops(member, self.tokens[member]) for member in panel),
        }


class JointCost(Spec):
    """Cost of joint embeddings and votes, apart from the bytes and operations of training.

    Attributes:
        agents: agents that asked.
        asked: agents that each asked, on average.
        texts: distinct texts that each asked about, those of a PCA included.
        query_bytes: UTF-8 bytes of the texts, to every agent asked, of all agents that asked.
        answer_bytes: float32 embeddings and class probabilities that came back.
        flops: operations of all encoders that embedded or classified.
    """

    agents: int
    asked: float
    texts: int
    query_bytes: int
    answer_bytes: int
    flops: int

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Self | None:
        """Sum up the costs in rows of metrics, one per agent; None if no agent asked.

        Example:
            >>> sent = {"joint_query_bytes": 900, "joint_answer_bytes": 600}
            >>> cost = JointCost.of([{"joint_asked": 3, "joint_texts": 10, "joint_flops": 5, **sent}])
            >>> cost.agents, cost.bytes_per_text
            (1, 150.0)
        """
        asking = [row for row in rows if row.get("joint_texts") is not None]
        if not asking:
            return None
        total = {
            name: int(sum(row.get(f"joint_{name}") or 0 for row in asking))
            for name in ("query_bytes", "answer_bytes", "flops")
        }
        asked = sum(row.get("joint_asked") or 0 for row in asking) / len(asking)
        texts = max(int(row["joint_texts"]) for row in asking)
        return cls(agents=len(asking), asked=asked, texts=texts, **total)

    @property
    def total_bytes(self) -> int:
        """Bytes of all texts and embeddings, both ways."""
        return self.query_bytes + self.answer_bytes

    @property
    def bytes_per_text(self) -> float:
        """Bytes of one query of one agent, on average."""
        return self.total_bytes / max(1, self.agents * self.texts)

    @property
    def flops_per_text(self) -> float:
        """Operations of one query of one agent, on average."""
        return self.flops / max(1, self.agents * self.texts)


@dataclass(frozen=True)
class JointPanels:
    """Agents that answer together, and how their embeddings are joined.

    Attributes:
        panels: panel of each agent.
        weights: weight of each agent.
        width: width of the PCA; None for none.
        public: texts that the PCA is fitted on.
    """

    panels: tuple[Panel, ...]
    weights: tuple[float, ...]
    width: int | None = None
    public: tuple[str, ...] = ()

    def encoder(
        self,
        panel: Panel,
        ask: Callable[[Sequence[str]], Sequence[NDArray[np.float32]]],
        vote: Callable[[Sequence[str]], Sequence[LabelScores | None]] | None = None,
    ) -> JointEncoder:
        """Return the encoder of a panel, its PCA fitted."""
        weights = [self.weights[agent] for agent in panel]
        return JointEncoder(ask, weights, vote=vote).fitted(self.public, self.width)


@dataclass(frozen=True)
class JointPlan:
    """The joint evaluation of a run's agents.

    Attributes:
        evaluator: tasks on held-out documents.
        joint: agents that answer together.
        flops: operations of an agent for so many tokens.
    """

    evaluator: Evaluator
    joint: JointPanels
    flops: Callable[[int, int], int]

    def evaluate(
        self, society: Society, agents: Iterable[int]
    ) -> dict[int, tuple[dict[str, float], dict[str, float]]]:
        """Return the joint metrics of some agents, and what they cost; equal panels are evaluated once.

        Args:
            society: answers.
            agents: agents that ask.
        """
        panels = {agent: self.joint.panels[agent] for agent in sorted(agents)}
        answers = Answers(
            society, sorted({member for panel in panels.values() for member in panel})
        )
        found = {panel: self._metrics(answers, panel) for panel in dict.fromkeys(panels.values())}
        return {
            agent: (dict(found[panel]), answers.cost(agent, panel, self.flops))
            for agent, panel in panels.items()
        }

    def _metrics(self, answers: Answers, panel: Panel) -> dict[str, float]:
        encoder = self.joint.encoder(
            panel, partial(answers.of, panel), partial(answers.votes, panel)
        )
        return {PREFIX + name: value for name, value in self.evaluator(encoder).items()}
