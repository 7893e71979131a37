"""The watch over a society's health: asks the agents, and remembers who is paused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agentos.rounds.health.collapse import Health, HealthConfig, Reading, judge, read
from agentos.runtime.host_calls import Probe
from protocols.seeding import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agentos.config.run import RunConfig
    from agentos.data.corpus import Corpus
    from agentos.runtime import Session
    from protocols.topologies import Network

logger = logging.getLogger(__name__)

Look = tuple[Reading, "NDArray[np.float32] | None"]
"""What an agent answers: how its embeddings are spread, and these themselves, where they are compared."""

MAX_EDGES = 64
"""Pairs of neighbours that are compared; of more, so many are drawn once."""


class HealthMonitor:
    """Looks at the agents of a run when it is due.

    Args:
        config: what to look for.
        texts: public anchors that every agent embeds.
        edges: pairs of neighbours whose embeddings are compared.
    """

    def __init__(
        self, config: HealthConfig, texts: tuple[str, ...], edges: tuple[tuple[int, int], ...]
    ) -> None:
        self.config = config
        self.texts = texts
        self.edges = edges
        self.paused: frozenset[int] = frozenset()

    def is_due(self, round: int) -> bool:
        """Whether there is a look after the local steps of this round."""
        return self.config.every > 0 and round % self.config.every == 0

    def look(self, round: int, session: Session) -> Health:
        """Let the agents embed the texts, and decide who is paused."""
        return self.conclude(round, self.ask(session))

    def ask(self, session: Session, agents: Collection[int] | None = None) -> dict[int, Look]:
        """Let some agents embed the texts, or all."""
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
        return {agent: look for answer in answers.values() for agent, look in answer.items()}

    def conclude(self, round: int, looks: Mapping[int, Look]) -> Health:
        """Decide who is paused, given what all agents have answered in a round."""
        readings = {agent: reading for agent, (reading, _) in sorted(looks.items())}
        rows = {agent: each for agent, (_, each) in looks.items() if each is not None}
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
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        from agentos.evaluation.similarity import linear_cka

        with threadpool_limits(limits=1, user_api="blas"):
            return {
                (a, b): round(linear_cka(rows[a], rows[b]), 6)
                for a, b in self.edges
                if np.isfinite(rows[a]).all() and np.isfinite(rows[b]).all()
            }


def health_monitor(config: RunConfig, corpus: Corpus, network: Network) -> HealthMonitor | None:
    """Return the watch over a run; None where nobody exchanges, or where there are no anchors."""
    health = config.health
    if config.exchange.kind == "isolated" or not health.every or len(corpus.anchors) < 2:
        return None
    drawn = generator(config.seed, "health").permutation(len(corpus.anchors))[: health.texts]
    texts = tuple(corpus.texts(corpus.anchors[np.sort(drawn)]))
    order = generator(config.seed, "health", "edges").permutation(len(network.edges))[:MAX_EDGES]
    return HealthMonitor(health, texts, tuple(network.edges[int(i)] for i in np.sort(order)))
