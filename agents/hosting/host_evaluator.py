"""Embeddings, answers and measurements of a host's agents, which leave the agents as they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import numpy as np

from agents.hosting.agent_pool import AgentPool
from agents.models.text_encoder import CachedEmbeddings, LabelScores, MappedEncoder
from agents.training.agent import Agent
from agents.training.blueprint import Blueprint
from agents.training.shared_model import SharedModel

Value = TypeVar("Value")


class _Examined(NamedTuple):
    """An encoder with its embeddings of held-out text, its metrics, and its data for charts."""

    encoder: CachedEmbeddings
    metrics: dict[str, float]
    explained: dict[str, Any]


class Examiner(ABC):
    """The part of a host that reads texts with its agents and measures their encoders.

    Attributes:
        blueprint: how agents are evaluated.
        explained: by agent, the last evaluation's data for pictures.
    """

    blueprint: Blueprint
    explained: dict[int, dict[str, Any]]

    @property
    @abstractmethod
    def agents(self) -> AgentPool:
        """The agents, once they have begun."""

    @abstractmethod
    def _span(self, phase: str, agent: int | None = None) -> AbstractContextManager[None]:
        """Record the time that work takes, if it is traced."""

    def evaluate(self, agents: Collection[int] | None = None) -> dict[int, dict[str, float]]:
        """Measure the encoders of some of the agents, by default of all, on held-out text."""
        chosen = self.agents.keys() if agents is None else self.agents.keys() & set(agents)
        measured: dict[int, dict[str, float]] = {}
        alike: dict[SharedModel, _Examined] = {}  # agents with the same initial weights are alike
        order = self.agents.order(sorted(chosen))
        for id, agent in self.agents.each(order, self.agents.unchanged):
            resident = self.agents.resident_of_untouched(id)
            with self._span("evaluate", id):
                found = alike.get(resident) if resident else None
                found = found or self._examine(agent)
                if resident:
                    alike[resident] = found
                measured[id] = found.metrics | self._measure_mapped(agent, found.encoder)
            self.explained[id] = found.explained
        return measured

    def _examine(self, agent: Agent) -> _Examined:
        encoder = CachedEmbeddings(agent)
        return _Examined(encoder, *self.blueprint.evaluate(encoder))

    def _measure_mapped(self, agent: Agent, encoder: CachedEmbeddings) -> dict[str, float]:
        """Measure an encoder under the maps fitted on an agent's text, which no other agent shares."""
        fit = self.blueprint.fit_maps
        if fit is None or not fit.measured:
            return {}
        maps, metrics = agent.fitted_maps(), dict[str, float]()
        for name in fit.measured:
            metrics |= self.blueprint.evaluate(MappedEncoder(encoder, maps[name]), name)[0]
        return metrics

    def embed_texts(self, texts: Sequence[str], agents: Sequence[int]) -> dict[int, np.ndarray]:
        """Embed the same texts with several agents, `[N, W]` each."""
        return {id: self.agents.unchanged(id).embed(texts) for id in agents}

    def classify_texts(
        self, texts: Sequence[str], agents: Sequence[int]
    ) -> dict[int, tuple[LabelScores | None, int]]:
        """Classify the same texts with several agents' own classifiers; None and 0 from one without.

        Returns:
            By agent, its class probabilities and the tokens that it read.
        """
        return {id: self.agents.unchanged(id).vote(texts) for id in agents}

    def probe(
        self,
        texts: Sequence[str],
        measure: Callable[[np.ndarray, int], Value],
        shown: Collection[int],
        agents: Collection[int] | None = None,
    ) -> dict[int, tuple[Value, np.ndarray | None]]:
        """Embed the same texts with several agents; return the result of `measure`.

        Args:
            texts: texts to embed.
            measure: turns embeddings `[N, W]`, and the number of tokens they took, into a small value.
            shown: agents whose embeddings are returned too.
            agents: those that embed; None for all.
        """
        answers: dict[int, tuple[Value, np.ndarray | None]] = {}
        order = self.agents.order(agents)
        for id, agent in self.agents.each(order, self.agents.unchanged):
            rows, tokens = agent.watch(texts)
            answers[id] = measure(rows, tokens), rows if id in shown else None
        return answers

    def explain(self, agents: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the last evaluation's data for pictures of these agents."""
        return {id: self.explained.get(id, {}) for id in agents}
