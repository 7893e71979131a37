"""``solve`` for texts that decoders write together, beside the best of them alone and counted words.

Legend: J agents, T tokens of a text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from agentos.data.sources.base import Document
from agentos.records.atomic_files import replacing, write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.records.layout import LEDGER
from agentos.records.ledger_file import write_ledger
from agentos.tasks.config import GenerateTask
from agentos.tasks.resemblance import resembling
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.society.writing_society import Scored, WritingSociety, rule
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
from agentos.tasks.solving.work_folder import ANSWERS, RESULTS, claim
from agentos.tasks.solving.workbench import Progress, cards_of
from agents.answering.answers import Labels, Rows
from agents.answering.mixture import log_prior, perplexity
from agents.models.next_token import NextToken
from protocols.errors import ConfigurationError
from protocols.seeding import generator

MEASURES = (Measure("perplexity", "perplexity", percent=False),)
_DOMAINS = 12
"""Domains that are shown, at most: those with the most texts."""


@dataclass(frozen=True)
class _Desk:
    """What a society is made and measured with.

    Attributes:
        config: the configuration.
        texts: all texts.
        ids: framed tokens of each.
        split: places of the texts.
    """

    config: GenerateTask
    texts: Sequence[Document]
    ids: Sequence[Labels]
    split: Split

    def framed(self, rows: Labels) -> list[Labels]:
        """Return the tokens of some texts."""
        return [self.ids[row] for row in rows.tolist()]


class _Spent(NamedTuple):
    """What the test texts cost, by one way."""

    flops: float
    payload_bytes: float
    simulated_s: float
    measured_s: float
    asked: float

    def way(self, name: str, found: float, tokens: int) -> Way:
        """Return the way, with the costs of one token."""
        flops, sent, simulated, measured = (each / tokens for each in self[:4])
        return Way(name, {"perplexity": found}, flops, sent, simulated, measured, self.asked)


def solve_generate(config: GenerateTask, directory: Path, progress: Progress) -> Finished:
    """Weigh decoders, let them expect the test texts together, and record everything.

    Raises:
        AgentOSError: a source, a model or the folder cannot be used.
    """
    progress("Reading text")
    texts = config.task.read(config.seed)
    cards = cards_of(config.library, progress)
    society = WritingSociety(config, cards)
    decoders = society.decoders()
    desk = _prepared(config, texts, decoders[0])
    claim(directory, config)
    with alone_in(directory):
        progress(f"Comparing {len(cards)} decoders")
        society = _chosen(desk, society)
        save_society(society, directory / SOCIETY)
        progress(f"Predicting {len(desk.split.test):,} test texts")
        finished = _tested(desk, society, directory)
        write_json(directory / RESULTS, finished.as_json(), indent=2)
        return finished


def _prepared(config: GenerateTask, texts: Sequence[Document], decoder: NextToken) -> _Desk:
    framed = [decoder.framed(each.text, config.task.max_length) for each in texts]
    kept = [row for row, ids in enumerate(framed) if len(ids) > 1]
    texts, framed = [texts[row] for row in kept], [framed[row] for row in kept]
    groups = resembling([each.text for each in texts])
    split = parts_of(groups, config.calibrate, generator(config.seed, "task", "texts"))
    if min(len(split.calibrate), len(split.test)) < 2:
        raise ConfigurationError(
            "there are too few texts to divide",
            expected="at least 2 to choose with, and 2 to test with",
            actual=f"{len(split.calibrate)} and {len(split.test)}",
            hint="give more texts, or change `calibrate`",
        )
    return _Desk(config, texts, framed, split)


def _chosen(desk: _Desk, society: WritingSociety) -> WritingSociety:
    """Return the society with its best decoder and its way of writing, both chosen on ``calibrate``."""
    decoders, texts = society.decoders(), desk.framed(desk.split.calibrate)
    logs = [np.stack([each.token_log_probabilities(ids) for each in decoders]) for ids in texts]
    alone = [perplexity([each[agent] for each in logs]) for agent in range(len(decoders))]
    best = int(np.argmin(alone))
    society = society.choosing(SINGLE, best)
    if len(decoders) == 1:
        return society
    if desk.config.mixture != "auto":
        return society.choosing(desk.config.mixture, best)
    ways = {name: _under(society, name, logs) for name in society.ways}
    way = min((name for name in ways if name != SINGLE), key=lambda name: perplexity(ways[name]))
    means = [np.array([each.mean() for each in ways[name]]) for name in (way, SINGLE)]
    return society.choosing(way if beats(*means) else SINGLE, best)


def _under(society: WritingSociety, way: str, logs: Sequence[Rows]) -> list[Rows]:
    """Return log-probabilities `[T]` of each text by one of the ways."""
    if way == SINGLE:
        return [each[society.best] for each in logs]
    prior, mixture = log_prior([card.origin for card in society.cards]), rule(way)
    return [mixture.token_log_probabilities(each, prior) for each in logs]


def _tested(desk: _Desk, society: WritingSociety, directory: Path) -> Finished:
    test, decoders = desk.framed(desk.split.test), society.decoders()
    tokens = sum(len(ids) - 1 for ids in test)
    best, began = decoders[society.best], time.perf_counter()
    before = best.flops
    alone = [best.token_log_probabilities(ids) for ids in test]
    single_s, single_flops = time.perf_counter() - began, best.flops - before
    began = time.perf_counter()
    scored = society.expected(test, faulty=True)
    together_s, talk = time.perf_counter() - began, scored.traffic
    by_way = {LEXICAL: _counted(desk), SINGLE: alone}
    for name in society.ways[1:]:
        by_way[name] = _under(society, name, scored.logs)
    spent = _Spent(
        float(talk.flops.sum()),
        float(talk.payload_bytes.sum()),
        talk.makespan_s,
        together_s,
        float(len(society.cards)),
    )
    costs = dict.fromkeys(by_way, spent) | {
        LEXICAL: _Spent(0.0, 0.0, 0.0, 0.0, 0.0),
        SINGLE: _Spent(single_flops, 0.0, _alone_s(society, single_flops), single_s, 1.0),
    }
    ways = [costs[name].way(name, perplexity(logs), tokens) for name, logs in by_way.items()]
    _record(desk, society, by_way, scored, directory)
    tables = (_domains(desk, society, by_way), _agents(society, decoders, test))
    return Finished(
        directory,
        desk.config.name,
        "generate",
        society.chosen,
        tuple(ways),
        MEASURES,
        "token",
        len(test),
        _verdict(society, ways),
        tables,
    )


def _alone_s(society: WritingSociety, flops: float) -> float:
    """Return the simulated seconds of one decoder's work, which sends nothing."""
    return flops / society.setting(False).timing.speeds[society.best]


def _counted(desk: _Desk) -> list[Rows]:
    """Return log-probabilities of the test tokens by their counts in the texts to choose with, plus one."""
    test = desk.framed(desk.split.test)
    known = np.concatenate([ids[1:] for ids in desk.framed(desk.split.calibrate)])
    size = int(max(known.max(), *(ids.max() for ids in test))) + 1
    counts = np.bincount(known, minlength=size) + 1.0
    logs = np.log(counts / counts.sum())
    return [logs[ids[1:]] for ids in test]


def _domains(desk: _Desk, society: WritingSociety, by_way: Mapping[str, Sequence[Rows]]) -> Table:
    """Return the perplexity of each domain: labels are read here, for the table, and nowhere else."""
    labels = [desk.texts[row].label for row in desk.split.test.tolist()]
    names = [label for label in dict.fromkeys(labels) if label is not None]
    names.sort(key=lambda name: (-labels.count(name), name))
    shown = names[:_DOMAINS]
    rows = []
    for domain in shown:
        mine = [row for row, label in enumerate(labels) if label == domain]
        cells = [f"{perplexity([logs[row] for row in mine]):,.1f}" for logs in by_way.values()]
        rows.append((domain, f"{len(mine):,}", *cells))
    note = "Labels of the texts are read for this table alone; no decoder and no mixture sees one."
    return Table("Perplexity by domain", note, ("domain", "texts", *by_way), tuple(rows))


def _agents(
    society: WritingSociety, decoders: Sequence[NextToken], test: Sequence[Labels]
) -> Table:
    rows = []
    for card, decoder in zip(society.cards, decoders, strict=True):
        found = perplexity([decoder.token_log_probabilities(ids) for ids in test])
        rows.append((card.name, f"{card.parameters:,}", f"{found:,.1f}"))
    note = "Perplexity of the test texts under each decoder alone; none was chosen by it."
    return agents_table(("agent", "parameters", "perplexity"), rows, note)


def _verdict(society: WritingSociety, ways: Sequence[Way]) -> str:
    by_name = {way.name: way for way in ways}
    chosen, single = by_name[society.chosen], by_name[SINGLE]
    alone = single.measures["perplexity"]
    name = society.cards[society.best].name
    if chosen is single:
        return f"One agent is enough: {name} alone has a perplexity of {alone:,.1f}."
    together = chosen.measures["perplexity"]
    lower, times = 100 * (1 - together / alone), chosen.flops / single.flops
    enough = "would have been" if lower <= 0 else "was not"
    return (
        f"One agent {enough} enough: {name} alone has a perplexity of {alone:,.1f}, "
        f"{len(society.cards)} decoders together ({chosen.name}) {together:,.1f}, "
        f"{lower:.1f} % lower at {times:.2f} times its FLOPs."
    )


def _record(
    desk: _Desk,
    society: WritingSociety,
    by_way: Mapping[str, Sequence[Rows]],
    scored: Scored,
    directory: Path,
) -> None:
    """Write the log-probability of each test text under every way and every agent, and the ledger."""
    rows, talk = desk.split.test, scored.traffic
    columns: dict[str, list[float] | NDArray[np.float64]] = {
        f"nats {name}": [-float(each.sum()) for each in logs] for name, logs in by_way.items()
    }
    for agent, card in enumerate(society.cards):
        columns[f"nats received {agent}: {card.name}"] = [
            -float(each[agent].sum()) for each in scored.logs
        ]
    table = pyarrow.table(
        {
            "item": rows,
            "text": [desk.texts[row].text for row in rows.tolist()],
            "label": pyarrow.array(
                [desk.texts[row].label for row in rows.tolist()], pyarrow.string()
            ),
            "tokens": [len(desk.ids[row]) - 1 for row in rows.tolist()],
            **columns,
            "flops": talk.flops,
            "bytes": talk.payload_bytes,
        }
    )
    with replacing(directory / ANSWERS) as draft:
        pyarrow.parquet.write_table(table, draft)
    write_ledger(talk.ledger, directory / LEDGER)
