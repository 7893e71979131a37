"""A society that searches: models, the documents that each agent holds, and how rankings are fused.

Legend: Q queries, C documents of the corpus, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentos.rounds.clock.timing import timing_of
from agentos.tasks.config import RankTask
from agentos.tasks.cooperation.panel import Embed
from agentos.tasks.cooperation.setting import Setting
from agentos.tasks.cooperation.shard_search import fuse, gather
from agentos.tasks.cooperation.traffic import Traffic
from agentos.tasks.library import ModelCard
from agentos.tasks.society.fitted_society import SINGLE
from agents.answering.answers import Labels
from agents.answering.ranking import Ranking, fuse_ranks, fuse_scores, merge, search, standardised
from agents.answering.ranking.search import search_flops
from agents.answering.ranking.standard_scores import standard_flops
from protocols.errors import HostLost
from protocols.ledger import Ledger
from protocols.topologies.peer import Complete

MERGE, RANKS, STANDARD = "merge", "reciprocal_rank", "z_score"
_FUSIONS: Mapping[str, Callable[[list[Ranking], int], Ranking]] = {
    MERGE: merge,
    RANKS: fuse_ranks,
    STANDARD: fuse_scores,
}


@dataclass(frozen=True)
class Holding:
    """The holdings of one agent.

    Attributes:
        model: place of its model.
        documents: numbers of its documents, sorted.
    """

    model: int
    documents: Labels


@dataclass(frozen=True)
class SearchOutcome:
    """A society's finds, and their cost.

    Attributes:
        ranking: the fused ranking.
        found: what reached the asker from each agent.
        flops, payload_bytes: `[Q]`, spent on each query.
        ledger: every delivery.
        simulated_s: simulated seconds of all queries, asked at once.
        lost: what went wrong, in words.
    """

    ranking: Ranking
    found: Mapping[int, Ranking]
    flops: NDArray[np.float64]
    payload_bytes: NDArray[np.float64]
    ledger: Ledger
    simulated_s: float
    lost: tuple[str, ...]


@dataclass(frozen=True)
class SearchSociety:
    """Agents that hold a corpus together.

    Attributes:
        config: the configuration that it was made under.
        cards: the models.
        holdings: what each agent holds.
        corpus: the documents.
        index: `[C, D]` of each model, embeddings of all documents.
        best: place of the model that searches best alone.
        chosen: the way that answers: `SINGLE`, or a fusion.
    """

    config: RankTask
    cards: tuple[ModelCard, ...]
    holdings: tuple[Holding, ...]
    corpus: tuple[str, ...]
    index: tuple[NDArray[np.float32], ...]
    best: int = 0
    chosen: str = SINGLE

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to answer: one agent alone, and the fusions that fit the agents' encoders."""
        if len(self.holdings) == 1:
            return (SINGLE,)
        origins = {self.cards[holding.model].origin for holding in self.holdings}
        return (SINGLE, MERGE) if len(origins) == 1 else (SINGLE, RANKS, STANDARD)

    def choosing(self, way: str, best: int | None = None) -> SearchSociety:
        """Return the society in which another way answers, or another model works alone."""
        return replace(self, chosen=way, best=self.best if best is None else best)

    def answer(
        self, ids: Labels, embed: Embed, way: str | None = None, faulty: bool = False
    ) -> SearchOutcome:
        """Search for queries.

        Args:
            ids: `[Q]`, of the queries.
            embed: maps a model and ids to the queries as it reads them.
            way: one of `ways`; the chosen one if None.
            faulty: whether the fault script strikes.

        Raises:
            HostLost: no agent is left to search.
        """
        way = way or self.chosen
        talk = Traffic(ids, self._setting(way, faulty))
        if way == SINGLE:
            found = self._alone(talk, embed)
            ranking = next(iter(found.values()))
        else:
            found = gather(
                talk,
                len(self.holdings),
                lambda agent, asked: self._search(
                    self.holdings[agent].model,
                    asked,
                    self.holdings[agent].documents,
                    embed,
                    standard=way == STANDARD,
                ),
            )
            ranking = fuse(talk, found, _FUSIONS[way], self.config.task.depth)
        return SearchOutcome(
            ranking,
            found,
            talk.flops,
            talk.payload_bytes,
            talk.ledger,
            talk.makespan_s,
            tuple(talk.lost),
        )

    def agent_of(self, model: int) -> int:
        """Return the first agent that has a model."""
        return [holding.model for holding in self.holdings].index(model)

    def _alone(self, talk: Traffic, embed: Embed) -> dict[int, Ranking]:
        """Search the whole corpus with the best model."""
        agent = self.agent_of(self.best)
        if agent in talk.victims():
            raise HostLost(
                f"agent {agent}, which works alone, is gone",
                hint="let the others search, too: set fuse to a way of fusing",
            )
        whole = np.arange(len(self.corpus))
        ranking, flops = self._search(self.best, talk.ids, whole, embed, standard=False)
        talk.flops += flops
        talk.step(f"search of {agent}", agent, float(flops.sum()), {})
        return {agent: ranking}

    def _search(
        self, model: int, ids: Labels, documents: Labels, embed: Embed, standard: bool
    ) -> tuple[Ranking, NDArray[np.float64]]:
        card, task = self.cards[model], self.config.task
        read, shard = embed(model, ids), self.index[model][documents]
        found = search(ids, read.features, documents, shard, task.depth, card.origin)
        flops = read.tokens.astype(np.float64) * card.flops(task.max_length)
        flops += search_flops(len(documents), shard.shape[1])
        if standard:
            found = standardised(found, read.features, shard)
            flops += standard_flops(len(documents))
        return found, flops

    def _setting(self, way: str, faulty: bool) -> Setting:
        config, agents = self.config, len(self.holdings)
        # The best agent alone sends nothing, and any network does.
        network = (Complete() if way == SINGLE else config.topology).build(agents, config.seed)
        timing = timing_of(config.clock, network, config.seed, {}, config.task.max_length)
        faults = config.faults if faulty else ()
        return Setting(network, timing, config.name, config.seed, faults, config.deadline_s)
