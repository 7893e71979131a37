"""``solve`` for texts that decoders write together, compared with the best of them alone and counted words.

Legend: J agents, T tokens of a text.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentos.data.sources.base import Document
from agentos.records.atomic_files import write_json
from agentos.records.identity.folder_lock import alone_in
from agentos.tasks.config import GenerateTask
from agentos.tasks.resemblance import resembling
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.saved_society import SOCIETY, save_society
from agentos.tasks.society.writing_society import WritingSociety, rule
from agentos.tasks.solving.kind_outcome import (
    LEXICAL,
    Finished,
    Measure,
    Way,
    beats,
    parts_of,
)
from agentos.tasks.solving.work_folder import RESULTS, claim
from agentos.tasks.solving.workbench import Progress, cards_of
from agentos.tasks.solving.writing.writing_results import (
    WritingDesk,
    decoders_table,
    domains_table,
    record,
    verdict_of,
)
from agents.answering.answers import Rows
from agents.answering.writing.mixture import log_prior, perplexity
from agents.models.next_token import NextToken
from protocols.errors import ConfigurationError
from protocols.seeding import generator

MEASURES = (Measure("perplexity", "perplexity", percent=False),)


class _Spent(NamedTuple):
    """Cost of the test texts, by one way."""

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
    if config.mixture != "auto" and len(cards) == 1:
        raise ConfigurationError(
            "one decoder is no mixture",
            expected="at least 2 decoders, or mixture: auto",
            actual=cards[0].name,
            hint="name more decoders in library",
        )
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


def _prepared(config: GenerateTask, texts: Sequence[Document], decoder: NextToken) -> WritingDesk:
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
    return WritingDesk(config, texts, framed, split)


def _chosen(desk: WritingDesk, society: WritingSociety) -> WritingSociety:
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


def _tested(desk: WritingDesk, society: WritingSociety, directory: Path) -> Finished:
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
    record(desk, society, by_way, scored, directory)
    tables = (domains_table(desk, society, by_way), decoders_table(society, decoders, test))
    return Finished(
        directory,
        desk.config.name,
        "generate",
        society.chosen,
        tuple(ways),
        MEASURES,
        "token",
        len(test),
        verdict_of(society, ways),
        tables,
    )


def _alone_s(society: WritingSociety, flops: float) -> float:
    """Return the simulated seconds of one decoder's work, which sends nothing."""
    return flops / society.setting(False).timing.speeds[society.best]


def _counted(desk: WritingDesk) -> list[Rows]:
    """Return log-probabilities of the test tokens by their counts in the texts to choose with, plus one."""
    test = desk.framed(desk.split.test)
    known = np.concatenate([ids[1:] for ids in desk.framed(desk.split.calibrate)])
    size = int(max(known.max(), *(ids.max() for ids in test))) + 1
    counts = np.bincount(known, minlength=size) + 1.0
    logs = np.log(counts / counts.sum())
    return [logs[ids[1:]] for ids in test]
