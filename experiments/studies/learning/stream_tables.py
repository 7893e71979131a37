"""Tables of learners on streams: accuracy, transfer, memory and tokens, each learner against replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agentos.learning.outcome.accuracy_matrix import AccuracyMatrix, Matrix
from agentos.reporting.statistics import holm, interval, paired_p
from agentos.reporting.units import ABSENT, bytes_text, count_text
from experiments.studies.cooperation.paired_lines import interval_text, p_text
from experiments.studies.exchange_tables import markdown
from experiments.studies.learning.measured_stream import HEADS, Measured
from experiments.studies.learning.peer_streams import Words

REFERENCE = "er"
EQUAL = 0.1
"""Share of the reference's memory by which that of a learner may differ, and still count as equal."""
FIGURES = ("final_accuracy", "backward_transfer", "forward_transfer", "minimum_accuracy")
_HEAD = (
    *("learner", "final accuracy", "backward transfer", "forward transfer", "lowest accuracy"),
    *("final less ER's", "p", "backward less ER's", "p", "memory an agent", "tokens"),
)


def page(
    title: str,
    origin: str,
    found: Mapping[str, Sequence[Measured]],
    words: Sequence[Words],
    agents: int,
    order: str = "each with its own order of the labels",
) -> str:
    """Return the page of a corpus in Markdown.

    Args:
        title, origin: its title, and the command that made it.
        found: figures of each learner by seed; with ``frozen``, whose memory is that of the ridge head alone.
        words: figures of the lexical model by seed.
        agents: agents of a society.
        order: how the streams of two seeds differ.
    """
    head = _head_bytes(found)
    parts = [f"# {title}\n\n`{origin}`\n\n{_explanation(found, head, agents, order)}"]
    for name in HEADS:
        rows = {arm: [_figures(each, name) for each in runs] for arm, runs in found.items()}
        table = _table(rows, found, words, head, agents)
        parts.append(f"## Answers by the {name} head\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _explanation(
    found: Mapping[str, Sequence[Measured]], head: float, agents: int, order: str
) -> str:
    seeds = max(len(runs) for runs in found.values())
    kept = bytes_text(head / agents)
    return (
        f"{seeds} seeds, {order}: mean ± half-width of a 95 % Student "
        "interval. Differences are paired by seed; their p values are corrected by Holm over the table. "
        "Memory is what a learner keeps next to its weights after the last episode; the ridge head keeps "
        f"{kept} more. Unequal: more than a tenth above or below ER's, so that the comparison with ER is "
        "not at equal memory. "
        "Forward transfer is measured against the untrained society. `words` is TF-IDF with logistic "
        "regression on all labelled text so far, which it keeps."
    )


def _head_bytes(found: Mapping[str, Sequence[Measured]]) -> float:
    """Return the bytes of the ridge heads of a society: all that frozen agents keep."""
    return float(np.mean([each.spent["memory_bytes"] for each in found.get("frozen", ())] or [0]))


def _figures(measured: Measured, head: str) -> dict[str, float]:
    return AccuracyMatrix(
        np.array(measured.values[head]), np.array(measured.before[head])
    ).summary()


def _table(
    rows: Mapping[str, Sequence[Mapping[str, float]]],
    found: Mapping[str, Sequence[Measured]],
    words: Sequence[Words],
    head: float,
    agents: int,
) -> str:
    compared = ("final_accuracy", "backward_transfer")
    pairs = [
        (arm, name) for arm in rows for name in compared if arm != REFERENCE and REFERENCE in rows
    ]
    p_values = [
        paired_p(_column(rows[arm], name), _column(rows[REFERENCE], name)) for arm, name in pairs
    ]
    tested = len(words) > 1
    corrected = dict(zip(pairs, holm(p_values), strict=True)) if tested else {}
    cells = []
    for arm, runs in rows.items():
        memory = np.mean([each.spent["memory_bytes"] for each in found[arm]]) - head
        differences = [
            cell
            for name in compared
            for cell in _difference(rows, arm, name, corrected.get((arm, name)))
        ]
        cells.append(
            [
                arm,
                *(interval_text(interval(_column(runs, name))) for name in FIGURES),
                *differences,
                _memory(float(memory) / agents, _reference_memory(found, head) / agents),
                count_text(float(np.mean([each.spent["tokens"] for each in found[arm]]))),
            ]
        )
    return markdown(_HEAD, [*cells, *([_words(words)] if words else [])])


def _reference_memory(found: Mapping[str, Sequence[Measured]], head: float) -> float:
    """Return the bytes of the learner that others are compared with, without those of the ridge head."""
    runs = found.get(REFERENCE, ())
    return float(np.mean([each.spent["memory_bytes"] for each in runs])) - head if runs else 0.0


def _memory(own: float, reference: float) -> str:
    """Return bytes, marked where they are not those of the reference, give or take a tenth."""
    text = bytes_text(own) if own > 0 else "0"
    unequal = reference > 0 and abs(own - reference) > EQUAL * reference
    return f"{text} (unequal)" if unequal else text


def _column(runs: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [each[name] for each in runs]


def _difference(
    rows: Mapping[str, Sequence[Mapping[str, float]]], arm: str, name: str, p_value: float | None
) -> list[str]:
    if arm == REFERENCE or REFERENCE not in rows:
        return [ABSENT, ABSENT]
    gained = np.subtract(_column(rows[arm], name), _column(rows[REFERENCE], name))
    return [interval_text(interval(gained.tolist()), "+.3f"), p_text(p_value)]


def _words(words: Sequence[Words]) -> list[str]:
    matrices = [
        AccuracyMatrix(np.array(each.values), np.zeros(len(each.values))).summary()
        for each in words
    ]
    shown = {name: interval_text(interval(_column(matrices, name))) for name in FIGURES}
    shown["forward_transfer"] = ABSENT
    memory = float(np.mean([each.memory_bytes for each in words]))
    return ["words", *shown.values(), *[ABSENT] * 4, f"{bytes_text(memory)} in all", ABSENT]


def avalanche_section(
    found: Mapping[str, Sequence[Measured]], theirs: Mapping[str, Sequence[Matrix]]
) -> str:
    """Return a section that compares learners with their counterparts of Avalanche; empty without any.

    Args:
        found: figures of each of our learners by seed.
        theirs: accuracies `[E, E]` of the counterpart by seed.
    """
    if not theirs:
        return ""
    compared = ("final_accuracy", "backward_transfer")
    both = {
        arm: (
            [_figures(each, "trained") for each in found[arm]],
            [AccuracyMatrix(each, np.zeros(len(each))).summary() for each in matrices],
        )
        for arm, matrices in theirs.items()
    }
    raw = [
        paired_p(*(_column(s, name) for s in pair)) for pair in both.values() for name in compared
    ]
    p_values = iter(holm(raw))
    rows = []
    for arm, (ours, other) in both.items():
        row = [arm]
        for name in compared:
            less = np.subtract(_column(ours, name), _column(other, name)).tolist()
            row += [interval_text(interval(_column(each, name))) for each in (ours, other)]
            row += [interval_text(interval(less), "+.3f"), p_text(next(p_values))]
        rows.append(row)
    head = [
        cell
        for name in ("final accuracy", "backward transfer")
        for cell in (f"{name}, ours", "Avalanche's", "ours less theirs", "p")
    ]
    return f"\n## Next to Avalanche\n\n{markdown(('learner', *head), rows)}\n"
