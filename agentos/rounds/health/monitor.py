"""The health monitor of a society: it probes the agents, and keeps which of them are paused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from agentos.data.corpus import Corpus
from agentos.evaluation.similarity import linear_cka
from agentos.rounds.health.collapse import Health, HealthConfig, Reading, judge, read
from agentos.runtime import Session
from agentos.runtime.host_calls import Probe
from agents.models.cpu.one_thread import one_thread
from protocols.seeding import generator
from protocols.topologies import Network

logger = logging.getLogger(__name__)

ProbeAnswer = tuple[Reading, "NDArray[np.float32] | None"]
"""The spread of an agent's embeddings, and the embeddings themselves if they are compared."""

MAX_EDGES = 64
"""Pairs of neighbours that are compared; if there are more, this many are drawn once."""


class HealthMonitor:
    """Probes the agents of a run in the rounds in which it is due.

    Args:
        config: the limits.
        texts: public anchors that every agent embeds.
        edges: pairs of neighbours whose embeddings are compared.
        every: rounds from one check to the next.
    """

    def __init__(
        self,
        config: HealthConfig,
        texts: tuple[str, ...],
        edges: tuple[tuple[int, int], ...],
        every: int = 1,
    ) -> None:
        self.config = config
        self.texts = texts
        self.edges = edges
        self.every = every
        self.paused: frozenset[int] = frozenset()

    def is_due(self, round: int) -> bool:
        """Return whether agents are probed after the local steps of this round."""
        return round % self.every == 0

    def check(self, round: int, session: Session) -> Health:
        """Probe all agents, and decide which are paused."""
        return self.judge(round, self.probe(session))

    def probe(
        self, session: Session, agents: Collection[int] | None = None
    ) -> dict[int, ProbeAnswer]:
        """Have some agents, or all, embed the texts."""
        shown = frozenset(agent for edge in self.edges for agent in edge)
        if agents is None:
            answers = session.call_all(Probe(self.texts, read, shown))
        else:
            asked: dict[int, list[int]] = {}
            for agent in sorted(agents):
                asked.setdefault(session.placement[agent], []).append(agent)
            answers = session.call(
                {host: Probe(self.texts, read, shown, mine) for host, mine in sorted(asked.items())}
            )
        return {agent: each for answer in answers.values() for agent, each in answer.items()}

    def judge(self, round: int, answers: Mapping[int, ProbeAnswer]) -> Health:
        """Decide which agents are paused, from the answers of all in a round."""
        readings = {agent: reading for agent, (reading, _) in sorted(answers.items())}
        rows = {agent: each for agent, (_, each) in answers.items() if each is not None}
        found = Health(readings, self._cka(rows), {})
        health = judge(found, self.paused, self.config)
        self.paused = frozenset(health.paused)
        for agent in health.fallen:
            why = health.paused[agent]
            logger.warning("agent-%d, round %d: %s; its exchange is paused", agent, round, why)
        for agent in health.recovered:
            logger.warning("agent-%d, round %d: recovered: it exchanges again", agent, round)
        return health

    def _cka(self, rows: dict[int, NDArray[np.float32]]) -> dict[tuple[int, int], float]:
        with one_thread():
            return {
                (a, b): round(linear_cka(rows[a], rows[b]), 6)
                for a, b in self.edges
                if np.isfinite(rows[a]).all() and np.isfinite(rows[b]).all()
            }


def health_monitor(
    config: HealthConfig, every: int, corpus: Corpus, network: Network, seed: int
) -> HealthMonitor | None:
    """Return the monitor of a run; None if it is switched off, or if there are too few anchors.

    Args:
        config: the monitor's configuration.
        every: rounds from one check to the next, by `HealthConfig.interval`; 0 for never.
        corpus: the run's corpus, for its public anchors.
        network: the run's network, for its neighbours.
        seed: the run's seed.
    """
    if not every or len(corpus.anchors) < 2:
        return None
    drawn = generator(seed, "health").permutation(len(corpus.anchors))[: config.texts]
    texts = tuple(corpus.texts(corpus.anchors[np.sort(drawn)]))
    order = generator(seed, "health", "edges").permutation(len(network.edges))[:MAX_EDGES]
    edges = tuple(network.edges[int(i)] for i in np.sort(order))
    return HealthMonitor(config, texts, edges, every)
