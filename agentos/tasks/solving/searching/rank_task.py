"""``solve`` for searches: agents that hold parts of the documents search together.

Legend: Q queries.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.beir import Judged
from agentos.records.atomic_files import write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.tasks.config import RankTask
from agentos.tasks.library import ModelCard
from agentos.tasks.resemblance import resembling
from agentos.tasks.society.encoders import Encoders
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.society.search_society import Holding, SearchSociety
from agentos.tasks.solving.kind_outcome import (
    Finished,
    Split,
    beats,
    parts_of,
)
from agentos.tasks.solving.searching.ranking_measures import gains
from agentos.tasks.solving.searching.search_results import (
    MEASURES,
    SearchDesk,
    holdings_table,
    lexical_way,
    record,
    verdict_of,
    way_of,
)
from agentos.tasks.solving.work_folder import EMBEDDINGS, RESULTS, claim
from agentos.tasks.solving.workbench import Progress, cards_of
from agents.answering.answers import Labels
from protocols.errors import ConfigurationError, HostLost
from protocols.seeding import generator


def solve_rank(
    config: RankTask, directory: Path, progress: Progress, address: str | None
) -> Finished:
    """Spread a corpus over agents, let them search together, and record everything.

    Raises:
        AgentOSError: a source, a model or the folder cannot be used.
    """
    progress("Reading text")
    judged = _sample(config)
    groups = resembling(judged.queries)
    rng = generator(config.seed, "task", "queries")
    split = parts_of(groups, config.calibrate, rng)
    cards = cards_of(config.library, progress)
    holdings = _holdings(config, judged.corpus, len(cards))
    _check(config, split, cards, len(holdings))
    claim(directory, config)
    with alone_in(directory):
        progress("Starting hosts")
        with config.runtime.open(len(cards), address) as session:
            length, threads = config.task.max_length, config.runtime.threads
            encoders = Encoders(session, cards, length, threads, directory / EMBEDDINGS)
            every = range(len(cards))
            progress(f"Embedding {len(judged.corpus):,} documents with {len(cards)} models")
            documents = encoders.embed(dict.fromkeys(every, judged.corpus))
            queries = encoders.embed(dict.fromkeys(every, judged.queries))
        desk = SearchDesk(
            config,
            judged,
            split,
            [documents[model] for model in every],
            [queries[model] for model in every],
        )
        index = tuple(each.rows for each in desk.documents)
        society = SearchSociety(config, cards, holdings, judged.corpus, index)
        progress("Comparing ways to search")
        society = _chosen(desk, society)
        save_society(society, directory / SOCIETY)
        progress("Searching for the test queries")
        finished = _tested(desk, society, directory)
        write_json(directory / RESULTS, finished.as_json(), indent=2)
        return finished


def _sample(config: RankTask) -> Judged:
    """Return the collection, with at most as many queries as are wanted."""
    judged, task = config.task.source.read(), config.task
    if len(judged.corpus) > task.documents:
        raise ConfigurationError(
            "the corpus is larger than task.documents",
            expected=f"at most {task.documents:,} documents",
            actual=f"{len(judged.corpus):,}",
            hint="raise task.documents, or give a smaller corpus",
        )
    if len(judged.queries) <= task.queries:
        return judged
    drawn = generator(config.seed, "task", "sample").permutation(len(judged.queries))
    kept = sorted(drawn[: task.queries].tolist())
    return Judged(
        tuple(judged.queries[row] for row in kept),
        judged.corpus,
        tuple(judged.relevant[row] for row in kept),
    )


def _holdings(config: RankTask, corpus: Sequence[str], models: int) -> tuple[Holding, ...]:
    """Spread the documents; each agent holds its own share, and those of the agents before it."""
    task, agents = config.task, config.task.agents or models
    if agents < models or task.holders > agents:
        raise ConfigurationError(
            "agents, models and holders do not fit each other",
            expected="at least as many agents as models, and as holders of a document",
            actual=f"{agents} agents, {models} models, {task.holders} holders",
            hint="change task.agents or task.holders",
        )
    rng = generator(config.seed, "task", "spread")

    def texts(rows: Labels) -> list[str]:
        return [corpus[row] for row in rows.tolist()]

    shares = task.spread.assign(None, texts, len(corpus), agents, rng)
    held = []
    for agent in range(agents):
        mine = [shares[(agent - back) % agents] for back in range(task.holders)]
        held.append(Holding(agent % models, np.sort(np.concatenate(mine)).astype(np.int64)))
    return tuple(held)


def _check(config: RankTask, split: Split, cards: Sequence[ModelCard], agents: int) -> None:
    if min(len(split.calibrate), len(split.test)) < 2:
        raise ConfigurationError(
            "there are too few queries to divide",
            expected="at least 2 to choose with, and 2 to test with",
            actual=f"{len(split.calibrate)} and {len(split.test)}",
            hint="give more queries, or change `calibrate`",
        )
    origins = len({card.origin for card in cards})
    fitting = () if agents == 1 else ("merge",) if origins == 1 else ("reciprocal_rank", "z_score")
    if config.fuse not in ("auto", *fitting):
        raise ConfigurationError(
            f"rankings of {agents} agents with {origins} encoders cannot be fused by {config.fuse}",
            expected="merge for one encoder, reciprocal_rank or z_score for unlike ones, or auto",
            actual=config.fuse,
            hint="set fuse to auto",
        )


def _chosen(desk: SearchDesk, society: SearchSociety) -> SearchSociety:
    """Return the society with its best model and its way of working, both chosen on ``calibrate``."""
    ids = desk.split.calibrate

    def quality(one: SearchSociety, way: str) -> NDArray[np.float64]:
        return gains(one.answer(ids, desk.embed, way).ranking, desk.relevant(ids))

    alone = [
        quality(society.choosing(SINGLE, model), SINGLE) for model in range(len(society.cards))
    ]
    best = int(np.argmax([each.mean() for each in alone]))
    society = society.choosing(SINGLE, best)
    together = {way: quality(society, way) for way in society.ways if way != SINGLE}
    if not together:
        return society
    if desk.config.fuse != "auto":
        return society.choosing(desk.config.fuse)
    way = max(together, key=lambda name: together[name].mean())
    return society.choosing(way if beats(together[way], alone[best]) else SINGLE)


def _tested(desk: SearchDesk, society: SearchSociety, directory: Path) -> Finished:
    ids = desk.split.test
    ways, ledgered = [lexical_way(desk)], False
    for name in society.ways:
        began = time.perf_counter()
        try:
            outcome = society.answer(ids, desk.embed, name, faulty=True)
        except HostLost:
            if name == society.chosen:
                raise
            continue  # the fault script left no agent to search
        taken = time.perf_counter() - began
        ways.append(way_of(desk, society, name, outcome, taken))
        if name == society.chosen:
            record(desk, society, outcome, directory)
            ledgered = True
    assert ledgered
    return Finished(
        directory,
        desk.config.name,
        "rank",
        society.chosen,
        tuple(ways),
        MEASURES,
        "query",
        len(ids),
        verdict_of(society, ways),
        (holdings_table(desk, society),),
    )
