"""Measures of decoders that write together, their table and their records.

Legend: J agents, T tokens of a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from agentos.data.sources.base import Document
from agentos.records.atomic_files import replacing
from agentos.records.layout import LEDGER
from agentos.records.ledger_file import write_ledger
from agentos.tasks.config import GenerateTask
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.writing_society import Scored, WritingSociety
from agentos.tasks.solving.kind_outcome import Split, Table, Way, agents_table
from agentos.tasks.solving.work_folder import ANSWERS
from agents.answering.answers import Labels, Rows
from agents.answering.writing.mixture import perplexity

_DOMAINS = 12
"""Domains that are shown, at most: those with the most texts."""


@dataclass(frozen=True)
class WritingDesk:
    """Data that a society is made and measured with.

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


def domains_table(
    desk: WritingDesk, society: WritingSociety, by_way: Mapping[str, Sequence[Rows]]
) -> Table:
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


def decoders_table(society: WritingSociety, logs: Sequence[Rows]) -> Table:
    """Return the table of agents: what each expects alone, of log-probabilities `[J, T]` of each text."""
    rows = []
    for agent, card in enumerate(society.cards):
        found = perplexity([each[agent] for each in logs])
        rows.append((card.name, f"{card.parameters:,}", f"{found:,.1f}"))
    note = "Perplexity of the test texts under each decoder alone; none was chosen by it."
    return agents_table(("agent", "parameters", "perplexity"), rows, note)


def verdict_of(society: WritingSociety, ways: Sequence[Way]) -> str:
    """Return one sentence: was one agent enough?"""
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


def record(
    desk: WritingDesk,
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
