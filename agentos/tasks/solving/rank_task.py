"""``solve`` for searches: documents are spread over agents, who search together, beside one agent and words.

Legend: Q queries.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from agentos.evaluation.beir import Judged
from agentos.records.atomic_files import replacing, write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.records.layout import LEDGER
from agentos.records.ledger_file import write_ledger
from agentos.tasks.config import RankTask
from agentos.tasks.cooperation.panel import Embedded
from agentos.tasks.library import ModelCard
from agentos.tasks.resemblance import resembling
from agentos.tasks.society.encoders import Encoded, Encoders
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.society.search_society import Holding, SearchOutcome, SearchSociety
from agentos.tasks.solving.outcome import (
    LEXICAL,
    Finished,
    Measure,
    Split,
    Table,
    Way,
    agents_table,
    beats,
    parts_of,
)
from agentos.tasks.solving.ranking_measures import gains, ranking_measures
from agentos.tasks.solving.words_search import lexical_ranking
from agentos.tasks.solving.work_folder import ANSWERS, EMBEDDINGS, RESULTS, claim
from agentos.tasks.solving.workbench import Progress, cards_of
from agents.answering.answers import Labels
from protocols.errors import ConfigurationError, HostLost
from protocols.seeding import generator

MEASURES = (
    Measure("ndcg_at_10", "nDCG@10", percent=True),
    Measure("mrr", "MRR", percent=True),
    Measure("recall_at_10", "R@10", percent=True),
)


@dataclass(frozen=True)
class _Desk:
    """What a society is made and measured with.

    Attributes:
        config: the configuration.
        judged: queries, corpus and judgements.
        split: places of the queries.
        documents, queries: of each model, as it reads them.
    """

    config: RankTask
    judged: Judged
    split: Split
    documents: Sequence[Encoded]
    queries: Sequence[Encoded]

    def embed(self, model: int, ids: Labels) -> Embedded:
        """Return queries as a model reads them."""
        read = self.queries[model]
        return Embedded(read.rows[ids], read.tokens[ids])

    def relevant(self, ids: Labels) -> list[Mapping[int, int]]:
        """Return the relevant documents of queries."""
        return [self.judged.relevant[query] for query in ids.tolist()]


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
    _check(config, split, cards)
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
        desk = _Desk(
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


def _check(config: RankTask, split: Split, cards: Sequence[ModelCard]) -> None:
    if min(len(split.calibrate), len(split.test)) < 2:
        raise ConfigurationError(
            "there are too few queries to divide",
            expected="at least 2 to choose with, and 2 to test with",
            actual=f"{len(split.calibrate)} and {len(split.test)}",
            hint="give more queries, or change `calibrate`",
        )
    origins = len({card.origin for card in cards})
    if config.fuse not in ("auto", "merge" if origins == 1 else config.fuse) or (
        config.fuse == "merge" and origins > 1
    ):
        raise ConfigurationError(
            f"rankings of {origins} encoders cannot be fused by {config.fuse}",
            expected="merge for one encoder, reciprocal_rank or z_score for unlike ones, or auto",
            actual=config.fuse,
            hint="set fuse to auto",
        )


def _chosen(desk: _Desk, society: SearchSociety) -> SearchSociety:
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


def _tested(desk: _Desk, society: SearchSociety, directory: Path) -> Finished:
    ids = desk.split.test
    ways, ledgered = [_lexical(desk)], False
    for name in society.ways:
        began = time.perf_counter()
        try:
            outcome = society.answer(ids, desk.embed, name, faulty=True)
        except HostLost:
            if name == society.chosen:
                raise
            continue  # the fault script left no agent to search
        taken = time.perf_counter() - began
        ways.append(_way(desk, society, name, outcome, taken))
        if name == society.chosen:
            _record(desk, society, outcome, directory)
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
        _verdict(society, ways),
        (_agents(desk, society),),
    )


def _way(
    desk: _Desk, society: SearchSociety, name: str, outcome: SearchOutcome, taken: float
) -> Way:
    count = len(outcome.ranking.ids)
    models = [society.holdings[agent].model for agent in outcome.found]
    reading = sum(desk.queries[model].seconds / len(desk.judged.queries) for model in models)
    return Way(
        name,
        ranking_measures(outcome.ranking, desk.relevant(outcome.ranking.ids)),
        float(outcome.flops.mean()),
        float(outcome.payload_bytes.mean()),
        outcome.simulated_s / count,
        reading + taken / count,
        float(len(outcome.found)),
    )


def _lexical(desk: _Desk) -> Way:
    ids, task = desk.split.test, desk.config.task
    began = time.perf_counter()
    asked = [desk.judged.queries[row] for row in ids.tolist()]
    found = lexical_ranking(ids, asked, desk.judged.corpus, task.depth, task.max_length)
    taken = (time.perf_counter() - began) / len(ids)
    return Way(LEXICAL, ranking_measures(found, desk.relevant(ids)), 0.0, 0.0, 0.0, taken, 0.0)


def _agents(desk: _Desk, society: SearchSociety) -> Table:
    rows = []
    for number, holding in enumerate(society.holdings):
        card = society.cards[holding.model]
        tokens = int(desk.documents[holding.model].tokens[holding.documents].sum())
        flops = tokens * card.flops(desk.config.task.max_length)
        rows.append((str(number), card.name, f"{len(holding.documents):,}", f"{flops:.3g}"))
    note = (
        "Every agent embeds its own documents once, before the first query; the FLOPs are of that."
    )
    return agents_table(("agent", "model", "documents", "FLOPs to embed them"), rows, note)


def _verdict(society: SearchSociety, ways: Sequence[Way]) -> str:
    by_name = {way.name: way for way in ways}
    chosen, best = by_name[society.chosen], society.cards[society.best].name
    quality = {name: way.measures["ndcg_at_10"] for name, way in by_name.items()}
    if SINGLE not in by_name:
        return (
            f"One agent was not enough: {best} was lost; "
            f"{chosen.name} reaches an nDCG@10 of {quality[chosen.name]:.1%}."
        )
    alone = f"{best} with all documents reaches an nDCG@10 of {quality[SINGLE]:.1%}"
    if chosen.name == SINGLE:
        return f"One agent is enough: {alone}."
    gain = 100 * (quality[chosen.name] - quality[SINGLE])
    times = chosen.flops / by_name[SINGLE].flops
    enough = "would have been" if gain <= 0 else "was not"
    return (
        f"One agent {enough} enough: {alone}, {len(society.holdings)} agents that share them "
        f"({chosen.name}) {quality[chosen.name]:.1%}, {gain:+.1f} points at {times:.2f} times its FLOPs."
    )


def _record(desk: _Desk, society: SearchSociety, outcome: SearchOutcome, directory: Path) -> None:
    """Write what was asked, found and decided about each test query, and the ledger."""
    ids, corpus = outcome.ranking.ids, society.corpus
    named = [
        f"{agent}: {society.cards[society.holdings[agent].model].name}" for agent in outcome.found
    ]
    said = [each.candidates[:, 0] for each in outcome.found.values()]
    table = pyarrow.table(
        {
            "query": ids,
            "text": [desk.judged.queries[row] for row in ids.tolist()],
            "documents": outcome.ranking.candidates.tolist(),
            "scores": outcome.ranking.scores.tolist(),
            "first": [corpus[row] for row in outcome.ranking.candidates[:, 0].tolist()],
            "gain": gains(outcome.ranking, desk.relevant(ids)),
            "asked": [named] * len(ids),
            "said": np.stack(said, axis=1).tolist(),
            "flops": outcome.flops,
            "bytes": outcome.payload_bytes,
        }
    )
    with replacing(directory / ANSWERS) as draft:
        pyarrow.parquet.write_table(table, draft)
    write_ledger(outcome.ledger, directory / LEDGER)
