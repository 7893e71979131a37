"""The report of a society that worked on a task: one page that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentos.records.layout import REPORT
from agentos.reporting.charts.plotting import Chart, colour, label
from agentos.reporting.page import write_page
from agentos.reporting.units import ABSENT, bytes_text, count_text, share_precision, short_seconds
from agentos.tasks.society.fitted_society import DISTILLED, DIVIDED, SINGLE
from agentos.tasks.solving.kind_outcome import LEXICAL
from agentos.tasks.solving.run_task import Line, Solved

HEADINGS = ("who", "right", "F1", "ECE", "asked", "FLOPs", "bytes", "sim.", "real")
"""Accuracy, macro-F1, expected calibration error, agents asked; the costs of one text."""
_NAMES = {
    LEXICAL: "words",
    SINGLE: "alone",
    "master_slave": "master",
    "peer": "peers",
    "layered": "layers",
    DIVIDED: "divided",
    DISTILLED: "distilled",
}


def row_of(solved: Solved, line: Line) -> tuple[str, ...]:
    """Return the cells of a line under `HEADINGS`, times a text."""
    is_society = line.name != LEXICAL
    mark = " *" if line.name == solved.society.chosen else ""
    return (
        _NAMES[line.name] + mark,
        f"{line.scores.accuracy:.1%}",
        f"{line.scores.macro_f1:.1%}",
        f"{line.scores.calibration_error:.3f}",
        f"{line.asked:.2f}" if is_society else ABSENT,
        count_text(line.flops) if is_society else ABSENT,
        bytes_text(line.payload_bytes) if is_society else ABSENT,
        short_seconds(line.simulated_s) if is_society else ABSENT,
        short_seconds(line.measured_s),
    )


def write_task_report(solved: Solved) -> Path:
    """Write ``report.html`` into the folder of a solved task; return its path.

    Raises:
        RecordError: the folder cannot be written to.
    """
    chart = _quality_against_flops(solved)
    return write_page(
        solved.directory / REPORT,
        "task.html.j2",
        charts=[chart],
        name=solved.society.config.name,
        verdict=solved.verdict,
        notes=solved.notes,
        analysis=solved.analysis.verdict if solved.analysis else "",
        headings=HEADINGS,
        rows=[row_of(solved, line) for line in solved.lines],
        agents=[
            (m.card.name, f"{m.card.parameters:,}", f"{m.accuracy:.1%}")
            for m in solved.society.members
        ],
        classes=len(solved.society.classes),
        queries=solved.queries,
        precision=share_precision(solved.queries),
        fitted=f"{solved.fitted:,} texts that they were fitted on",
        fitted_precision=share_precision(solved.fitted),
        chart=chart,
    )


def _quality_against_flops(solved: Solved) -> Chart:
    """Return a point for each way to answer, and lines for words alone and for an oracle of deferral."""
    lines = [line for line in solved.lines if line.name != LEXICAL]
    traces = [
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": label(_NAMES[line.name]),
            "x": [line.flops],
            "y": [line.scores.accuracy],
            "text": [label(_NAMES[line.name])],
            "textposition": ("top center", "bottom center")[number % 2],  # ways may coincide
            "marker": {"size": 11, "color": colour(number)},
        }
        for number, line in enumerate(lines)
    ]
    ends = [min(line.flops for line in lines), max(line.flops for line in lines)]
    words = next(line for line in solved.lines if line.name == LEXICAL).scores.accuracy
    traces.append(_stroke(_NAMES[LEXICAL], ends, [words, words], dash="dot", color="--alone"))
    if solved.oracle:
        flops, accuracies = map(list, zip(*solved.oracle, strict=True))
        name = "oracle: best single deferral, knows every label"
        traces.append(_stroke(name, flops, accuracies, dash="dash", color="--before"))
    return Chart(
        id="quality",
        title="Accuracy against FLOPs",
        caption="Each point is a way to answer the test texts. Up and to the left is better.",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": "FLOPs a text"}, "type": "log"},
            "yaxis": {"tickformat": ".0%"},
            "showlegend": True,
        },
        height_px=420,
    )


def _stroke(name: str, x: list[float], y: list[float], **line: str) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line}
