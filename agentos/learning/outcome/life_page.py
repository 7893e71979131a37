"""The report of a life: one page that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentos.learning.life_records import EpisodeRecord, LifeRecord
from agentos.learning.outcome.life_charts import charts_of
from agentos.learning.outcome.life_report import (
    OUTCOMES,
    knowledge_rows,
    precision_note,
    repeats_note,
)
from agentos.learning.outcome.recorded_matrix import is_finished, matrix_of
from agentos.records.layout import REPORT
from agentos.reporting.page import write_page
from agentos.reporting.units import ABSENT, MINUS, bytes_text, count_text

HEADINGS = (
    *("episode", "documents", "labelled", "novel", "automatic labels", "coverage", "precision"),
    *("decision", "gain", "p"),
)
COSTS = (
    *("episode", "tokens trained", "tokens embedded", "FLOPs", "FLOPs of claims"),
    *("FLOPs of kNN an answer", "bytes sent", "bytes of memory"),
)
Tile = dict[str, str]


def write_life_page(directory: Path, record: LifeRecord, names: Sequence[str]) -> Path:
    """Write ``report.html`` into the folder of a life, from its records; return the page's path.

    A life that goes on gets a page of the episodes that are finished.

    Args:
        directory: folder of the life.
        record: its records.
        names: names of the classes.

    Raises:
        RecordError: the folder cannot be written to.
    """
    config, charts = record.config, charts_of(record)
    known_headings, known = knowledge_rows(record)
    return write_page(
        directory / REPORT,
        "life.html.j2",
        charts=charts,
        name=str(config["name"]),
        subtitle=_subtitle(record, names),
        tone=_tone(record),
        headline=_headline(record),
        details=_details(record),
        tiles=_tiles(record),
        drawn=charts,
        headings=HEADINGS,
        rows=[_row(each) for each in record.episodes],
        repeats=repeats_note(record) if record.repeated else "",
        decisions=[
            (f"Episode {each.episode + 1}", OUTCOMES[each.outcome], each.reasons)
            for each in record.episodes
            if each.reasons
        ],
        known_headings=known_headings,
        known=known,
        cost_headings=COSTS,
        costs=[*(_costs(each) for each in record.episodes), _total(record)],
    )


def _subtitle(record: LifeRecord, names: Sequence[str]) -> str:
    config = record.config
    gate = config.get("gate")
    parts = (
        f"stream {config['stream']['kind']}",
        f"learner {config['learn']['kind']}",
        f"head {config['head']}",
        f"{len(names)} labels",
        f"{len(record.episodes)} of {_episodes(record)} episodes",
        "no gate"
        if gate is None
        else f"gate at drop {gate['drop']:.0%}, {gate['examples']} examples",
    )
    return " · ".join(parts)


def _episodes(record: LifeRecord) -> int:
    """Return the episodes that have come."""
    return len(record.episodes[-1].accuracies) if record.episodes else len(record.before)


def _judged(record: LifeRecord) -> list[EpisodeRecord]:
    return [each for each in record.episodes if each.outcome in ("accept", "refuse")]


def _tone(record: LifeRecord) -> str:
    judged = _judged(record)
    if not judged:
        return ""
    return "gain" if any(each.outcome == "accept" for each in judged) else "loss"


def _headline(record: LifeRecord) -> str:
    if not record.episodes:
        return "No episode is finished yet."
    accuracy = float(np.mean(record.episodes[-1].accuracies))
    count = len(record.episodes)
    return (
        f"After {count} episode{'s' if count > 1 else ''} the society answers {accuracy:.1%} of the tests of "
        "all episodes right."
    )


def _details(record: LifeRecord) -> list[str]:
    """Return what the gate did, and whether anything was learnt after the first episode."""
    seen = [f"{precision_note(record)}."] if record.tests else []
    seen += [] if record.seen is None else [_seen(record.seen)]
    if len(record.episodes) < 2:
        return seen
    judged = _judged(record)
    if not judged:
        return ["There is no gate: every update is let in.", *seen]
    let_in = [each for each in judged if each.outcome == "accept"]
    told = [f"The gate let in {len(let_in)} of {len(judged)} updates."]
    gains = [each.gain for each in let_in if each.gain is not None]
    if gains:
        told.append(f"They gained {_points(float(np.mean(gains)))} points each, on fresh examples.")
    if not let_in:
        told.append("Nothing after the first episode is in force.")
    return [*told, *seen]


def _seen(share: float) -> str:
    return (
        f"Pretrained: the encoders come from a run that had read {share:.0%} of the test text before, "
        "without labels."
    )


def _tiles(record: LifeRecord) -> list[Tile]:
    """Return the figures of a finished life, and what it cost; no figure of one that goes on."""
    spent = {name: sum(e.spent.get(name, 0) for e in record.episodes) for name in _SUMMED}
    kept = record.episodes[-1].spent["memory_bytes"] if record.episodes else 0
    costs = [
        _tile("FLOPs", count_text(spent["flops"]), f"{count_text(spent['tokens'])} tokens trained"),
        _tile("Bytes sent", bytes_text(spent["message_bytes"]), "serialised, all deliveries"),
        _tile("Memory", bytes_text(kept), "of all agents, without weights"),
    ]
    if not is_finished(record):
        return costs
    matrix = matrix_of(record)
    return [
        _tile("Final accuracy", f"{matrix.final_accuracy:.1%}", "mean of all tests"),
        _tile("Backward transfer", _points(matrix.backward_transfer), "points; below 0: forgotten"),
        _tile("Forward transfer", _points(matrix.forward_transfer), "points, before it is learnt"),
        _tile(
            "Lowest accuracy", f"{matrix.minimum_accuracy:.1%}", "of earlier episodes, on the way"
        ),
        *costs,
        _tile("Labels", *_label_note(record)),
    ]


_SUMMED = ("flops", "tokens", "message_bytes")


def _label_note(record: LifeRecord) -> tuple[str, str]:
    automatic = sum(each.automatic for each in record.episodes)
    given = sum(each.labelled for each in record.episodes)
    return f"{given:,} + {automatic:,}", "that came with the text, and automatic ones"


def _tile(name: str, value: str, note: str) -> Tile:
    return {"name": name, "value": value, "note": note}


def _points(share: float) -> str:
    """Return a difference of accuracies in points, with its sign; NaN is not known."""
    if np.isnan(share):
        return ABSENT
    return f"{100 * share:+.1f}".replace("-", MINUS)


def _row(each: EpisodeRecord) -> tuple[str, ...]:
    return (
        str(each.episode + 1),
        f"{each.train:,}",
        f"{each.labelled:,}",
        _share(each.novel),
        f"{each.automatic:,}" if each.coverage is not None else ABSENT,
        _share(each.coverage),
        _share(each.precision),
        OUTCOMES[each.outcome],
        ABSENT if each.gain is None else _points(each.gain),
        ABSENT if each.p_value is None else f"{each.p_value:.2g}",
    )


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1%}"


def _costs(each: EpisodeRecord) -> tuple[str, ...]:
    spent = each.spent
    return (
        str(each.episode + 1),
        count_text(spent["tokens"]),
        count_text(spent["embedded_tokens"]),
        *(
            count_text(spent[name]) if name in spent else ABSENT
            for name in ("flops", "claim_flops")
        ),
        ABSENT if each.knowledge is None else count_text(each.knowledge.answer_flops),
        bytes_text(spent["message_bytes"]),
        bytes_text(spent["memory_bytes"]),
    )


def _total(record: LifeRecord) -> tuple[str, ...]:
    def total(name: str) -> int:
        return sum(each.spent.get(name, 0) for each in record.episodes)

    names = ("tokens", "embedded_tokens", "flops", "claim_flops")
    counts = [count_text(total(name)) for name in names]
    return ("all", *counts, ABSENT, bytes_text(total("message_bytes")), ABSENT)
