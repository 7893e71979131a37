"""The report of a life in Markdown: accuracy matrix, transfers, labels, and the decisions of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentos.learning.life_records import EpisodeRecord, LifeRecord
from agentos.learning.outcome.recorded_matrix import is_finished, matrix_of
from agentos.records.atomic_files import replacing
from agentos.reporting.units import ABSENT, share_precision

REPORT = "report.md"
_HEADS = (
    "episode",
    "documents",
    "labelled",
    "novel",
    "automatic",
    "coverage",
    "precision",
    "decision",
    "tokens",
    "FLOPs",
    "FLOPs of claims",
    "bytes sent",
    "bytes of memory",
)
_KNOWN = (
    *(
        "accepted_claims",
        "disputed_claims",
        "retracted_claims",
        "stated",
        "message_bytes",
        "joined",
    ),
    *("thinned", "thinning_loss", "candidate_classes", "weight", "answer_flops"),
)
OUTCOMES = {"first": "the baseline", "accept": "let in", "refuse": "refused", "ungated": "no gate"}


def write_report(directory: Path, record: LifeRecord, names: Sequence[str]) -> Path:
    """Write ``report.md``; return its path.

    Raises:
        RecordError: it cannot be written.
    """
    path = directory / REPORT
    parts = [
        _title(record, names),
        _figures(record),
        _table(record),
        _decisions(record),
        _knowledge(record),
    ]
    with replacing(path) as draft:
        draft.write_text("\n".join(part for part in parts if part), encoding="utf-8", newline="\n")
    return path


def _title(record: LifeRecord, names: Sequence[str]) -> str:
    config = record.config
    return (
        f"# {config['name']}\n\nStream `{config['stream']['kind']}`, learner `{config['learn']['kind']}`, "
        f"{len(names)} labels, {len(record.episodes)} episodes.\n{_seen(record)}"
    )


def _seen(record: LifeRecord) -> str:
    if record.seen is None:
        return ""
    return f"\nPretrained: the encoders had read {record.seen:.0%} of the test text before, without labels.\n"


def _figures(record: LifeRecord) -> str:
    if not is_finished(record):
        return ""
    summary = matrix_of(record).summary()
    lines = [
        f"| {name.replace('_', ' ')} | {_figure(name, value)} |"
        for name, value in summary.items()
        if not np.isnan(value)
    ]
    note = [repeats_note(record), ""] if record.repeated else []
    return "\n".join(["| figure | value |", "| --- | --- |", *lines, "", *note])


def _figure(name: str, value: float) -> str:
    """Return an accuracy in percent, or a transfer, which is a difference of two, in points."""
    return f"{100 * value:+.1f} points" if name.endswith("transfer") else f"{value:.1%}"


def repeats_note(record: LifeRecord) -> str:
    """Return how many near duplicates were left out, and the final accuracy with and without them."""
    told = f"{record.repeated:,} near duplicates in the stream are left out of all episodes"
    last = record.episodes[-1] if record.episodes else None
    if last is None or last.accuracy_with_repeats is None:
        return f"{told}."
    return (
        f"{told}. With those of training text among the tests, the accuracy would be "
        f"{last.accuracy_with_repeats:.1%}; without them it is {np.mean(last.accuracies):.1%}."
    )


def _table(record: LifeRecord) -> str:
    """Return the accuracy on the test of every episode, a row after each episode."""
    tests = max(len(record.before), *(len(each.accuracies) for each in record.episodes), 0)
    heads = "".join(f" {name} |" for name in test_names(record, tests))
    rows = [("before", record.before)]
    rows += [(f"after {each.episode + 1}", each.accuracies) for each in record.episodes]
    lines = [f"| {name} |" + "".join(f" {value:.1%} |" for value in row) for name, row in rows]
    lines = [line + "  |" * (tests - len(row)) for line, (_, row) in zip(lines, rows, strict=True)]
    rule = "| --- |" + " --- |" * tests
    note = [f"{precision_note(record)}.", ""] if record.tests else []
    return "\n".join(["## Accuracy", "", f"| |{heads}", rule, *lines, "", *note])


def test_names(record: LifeRecord, count: int) -> list[str]:
    """Return the names of the tests, with the number of their texts where it was recorded."""
    sizes = dict(enumerate(record.tests))
    return [
        f"test {number + 1} (n = {sizes[number]:,})" if number in sizes else f"test {number + 1}"
        for number in range(count)
    ]


def precision_note(record: LifeRecord) -> str:
    """Return how closely accuracies are known: by the smallest test, and over all texts."""
    least, every = min(record.tests), sum(record.tests)
    return (
        f"95 % interval of a share, where it is widest: {share_precision(least)} on the smallest test, "
        f"{share_precision(every)} on all {every:,} texts; one seed"
    )


def _decisions(record: LifeRecord) -> str:
    head = f"| {' | '.join(_HEADS)} |"
    lines = [_decision(each) for each in record.episodes]
    reasons = [
        f"- Episode {each.episode + 1}: {'; '.join(each.reasons)}."
        for each in record.episodes
        if each.reasons
    ]
    return "\n".join(
        ["## Episodes", "", head, "|" + " --- |" * len(_HEADS), *lines, "", *reasons, ""]
    )


def _knowledge(record: LifeRecord) -> str:
    headings, rows = knowledge_rows(record)
    if not rows:
        return ""
    lines = [f"| {' | '.join(row)} |" for row in (headings, *rows)]
    return "\n".join(["## Knowledge", "", lines[0], "|" + " --- |" * len(headings), *lines[1:], ""])


def knowledge_rows(record: LifeRecord) -> tuple[list[str], list[list[str]]]:
    """Return how the knowledge base grew and was corrected, and what heads reach without it.

    An update that was refused changed nothing about it, and has no row.
    """
    told = [
        (each.episode, each.accuracies, each.knowledge)
        for each in record.episodes
        if each.knowledge is not None and each.outcome != "refuse"
    ]
    headings = ["episode", *(name.replace("_", " ") for name in _KNOWN)]
    reduced = any(known.dimensions for _, _, known in told)
    if reduced:
        headings += ["dimensions", "reduction loss"]
    if any(known.head_accuracies for _, _, known in told):
        headings += [
            "accuracy with claims",
            "heads alone",
            "each agent with claims",
            "its head alone",
        ]
    rows = []
    for episode, accuracies, known in told:
        row = [str(episode + 1), *(f"{getattr(known, name):,}" for name in _KNOWN)]
        if reduced:
            row += [str(known.dimensions), f"{known.reduction_loss:.1%}"]
        if known.head_accuracies:
            row += [f"{np.mean(values):.1%}" for values in (accuracies, known.head_accuracies)]
            own = (known.agent_accuracy, known.agent_head_accuracy)
            row += [ABSENT if share is None else f"{share:.1%}" for share in own]
        rows.append(row)
    return headings, rows


def _decision(each: EpisodeRecord) -> str:
    shares = (each.novel, each.coverage, each.precision)
    novel, coverage, precision = ("" if share is None else f"{share:.1%}" for share in shares)
    spent = each.spent
    return (
        f"| {each.episode + 1} | {each.train} | {each.labelled} | {novel} | {each.automatic} | {coverage} "
        f"| {precision} | {OUTCOMES[each.outcome]} | {spent['tokens']:,} | {spent.get('flops', 0):.3g} "
        f"| {spent.get('claim_flops', 0):.3g} | {spent['message_bytes']:,} | {spent['memory_bytes']:,} |"
    )
