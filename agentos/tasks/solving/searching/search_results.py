"""Measures of a search, its table and its records.

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

from agentos.evaluation.beir import Judged
from agentos.records.atomic_files import replacing
from agentos.records.layout import LEDGER
from agentos.records.ledger_file import write_ledger
from agentos.tasks.config import RankTask
from agentos.tasks.cooperation.panel import Embedded
from agentos.tasks.society.encoders import Encoded
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.search_society import SearchOutcome, SearchSociety
from agentos.tasks.solving.kind_outcome import LEXICAL, Measure, Split, Table, Way, agents_table
from agentos.tasks.solving.searching.ranking_measures import gains, ranking_measures
from agentos.tasks.solving.searching.words_search import lexical_ranking
from agentos.tasks.solving.work_folder import ANSWERS
from agents.answering.answers import Labels

MEASURES = (
    Measure("ndcg_at_10", "nDCG@10", percent=True),
    Measure("mrr", "MRR", percent=True),
    Measure("recall_at_10", "R@10", percent=True),
)


@dataclass(frozen=True)
class SearchDesk:
    """Data that a society is made and measured with.

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


def way_of(
    desk: SearchDesk, society: SearchSociety, name: str, outcome: SearchOutcome, taken: float
) -> Way:
    """Return a way to search, as measured."""
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


def lexical_way(desk: SearchDesk) -> Way:
    """Return BM25 on the words, as measured."""
    ids, task = desk.split.test, desk.config.task
    began = time.perf_counter()
    asked = [desk.judged.queries[row] for row in ids.tolist()]
    found = lexical_ranking(ids, asked, desk.judged.corpus, task.depth, task.max_length)
    taken = (time.perf_counter() - began) / len(ids)
    return Way(LEXICAL, ranking_measures(found, desk.relevant(ids)), 0.0, 0.0, 0.0, taken, 0.0)


def holdings_table(desk: SearchDesk, society: SearchSociety) -> Table:
    """Return the table of agents: what each holds, and what embedding it took."""
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


def verdict_of(society: SearchSociety, ways: Sequence[Way]) -> str:
    """Return one sentence: was one agent enough?"""
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


def record(
    desk: SearchDesk, society: SearchSociety, outcome: SearchOutcome, directory: Path
) -> None:
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
