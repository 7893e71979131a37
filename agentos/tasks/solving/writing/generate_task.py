"""``solve`` for texts that decoders write together, compared with the best of them alone and counted words.

Legend: J agents, T tokens of a text.
"""

from __future__ import annotations

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
from agentos.tasks.society.hosted_decoders import Decoders
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


def solve_generate(
    config: GenerateTask, directory: Path, progress: Progress, address: str | None
) -> Finished:
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
    desk = _prepared(config, texts, society.decoders()[0])
    claim(directory, config)
    with alone_in(directory), config.runtime.open(len(cards), address) as session:
        hosted = Decoders(session, cards, config.runtime.threads)
        progress(f"Comparing {len(cards)} decoders")
        society = _chosen(desk, society, hosted)
        save_society(society, directory / SOCIETY)
        progress(f"Predicting {len(desk.split.test):,} test texts")
        finished = _tested(desk, society, hosted, directory)
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


def _chosen(desk: WritingDesk, society: WritingSociety, hosted: Decoders) -> WritingSociety:
    """Return the society with its best decoder and its way of writing, both chosen on ``calibrate``."""
    logs, _ = hosted.log_probabilities(desk.framed(desk.split.calibrate))
    alone = [perplexity([each[agent] for each in logs]) for agent in range(len(society.cards))]
    best = int(np.argmin(alone))
    society = society.choosing(SINGLE, best)
    if len(society.cards) == 1:
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


def _tested(
    desk: WritingDesk, society: WritingSociety, hosted: Decoders, directory: Path
) -> Finished:
    test = desk.framed(desk.split.test)
    tokens = sum(len(ids) - 1 for ids in test)
    logs, spent_alone = hosted.log_probabilities(test)
    single = spent_alone[society.best]
    scored = society.expected(test, hosted, faulty=True)
    talk = scored.traffic
    by_way = {LEXICAL: _counted(desk), SINGLE: [each[society.best] for each in logs]}
    for name in society.ways[1:]:
        by_way[name] = _under(society, name, scored.logs)
    spent = _Spent(
        float(talk.flops.sum()),
        float(talk.payload_bytes.sum()),
        talk.makespan_s,
        scored.seconds,
        float(len(society.cards)),
    )
    costs = dict.fromkeys(by_way, spent) | {
        LEXICAL: _Spent(0.0, 0.0, 0.0, 0.0, 0.0),
        SINGLE: _Spent(single.flops, 0.0, _alone_s(society, single.flops), single.seconds, 1.0),
    }
    ways = [costs[name].way(name, perplexity(logs), tokens) for name, logs in by_way.items()]
    record(desk, society, by_way, scored, directory)
    tables = (domains_table(desk, society, by_way), decoders_table(society, logs))
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
