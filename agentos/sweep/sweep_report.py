"""The page of a sweep: its answer as a sentence, a picture and a table, and the curves of its arms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agentos.reporting.charts.plotting import COLOURS, Chart, label, line, rounds_axis, share_axis
from agentos.reporting.page import write_page
from agentos.reporting.statistics import Interval, interval, interval_text
from agentos.reporting.units import ABSENT, bytes_text, count_text, metric_text
from agentos.sweep.paired_answer import Answer, Line, value_on
from agentos.sweep.rows import FINISHED, Row

REPORT = "report.html"
Curves = Mapping[tuple[str, str], Mapping[int, Sequence[float]]]
"""For each group and name: by round, one value per run."""


def write_sweep_report(
    path: Path, name: str, answer: Answer, rows: Sequence[Row], failed: int
) -> Path:
    """Write the page of a sweep and return its path.

    Args:
        path: the page.
        name: name of the sweep.
        answer: what was compared.
        rows: the rows of the sweep.
        failed: number of runs without a result.

    Raises:
        RecordError: the page cannot be written.
    """
    ends, curves = _ends(answer), _small_multiples(answer, _curves(answer, rows))
    return write_page(
        path,
        "sweep.html.j2",
        charts=[*ends, *curves],
        name=name,
        answer=answer,
        ends=ends,
        curves=curves,
        headings=headings(answer),
        texts=2 if answer.by else 1,
        table=[
            (*names(answer, each), *cells(answer, each), answer.is_better(each))
            for each in answer.lines
        ],
        failed=failed,
    )


def headings(answer: Answer) -> tuple[str, ...]:
    """Return the headings of an answer's table."""
    against = f"gain over {answer.baseline}"
    found = ("seeds", "mean agent", "best", "worst", against, "p (Holm)", "bytes", "FLOPs")
    return (*([answer.by] if answer.by else []), answer.across, *found)


def names(answer: Answer, found: Line) -> tuple[str, ...]:
    """Return the cells of a line that say what it is."""
    return (*([found.group] if answer.by else []), found.name)


def cells(answer: Answer, found: Line) -> tuple[str, ...]:
    """Return the numbers of a line as texts."""
    metric, gain = answer.metric, found.gain
    return (
        str(found.seeds),
        interval_text(found.mean, metric),
        metric_text(found.best, metric),
        metric_text(found.worst, metric),
        ABSENT if gain is None else interval_text(gain, metric, signed=True),
        ABSENT if found.p is None else "< 0.001" if found.p < 0.001 else f"{found.p:.3f}",
        bytes_text(found.payload_bytes),
        count_text(found.flops),
    )


def _ends(answer: Answer) -> list[Chart]:
    """Return each line's gain over its baseline, and its mean agent, after the last round."""
    metric = answer.metric.title
    gains = {line: line.gain for line in answer.lines if line.gain is not None}
    means = {line: line.mean for line in answer.lines}
    paired = "Paired by seed: what seeds differ in cancels out. Mean and 95 % interval over seeds."
    plain = "Mean and 95 % interval over seeds, after the last round."
    signed = {"tickformat": "+.1%"} if answer.metric.percent else {}  # may lie below 0
    first = ("gains", f"{metric}: gain over {answer.baseline}", paired)
    second = ("ends", f"{metric} of the mean agent", plain)
    return [
        *([_intervals(answer, first, signed, gains)] if gains else []),
        _intervals(answer, second, share_axis(answer.metric.percent), means),
    ]


def _intervals(
    answer: Answer,
    texts: tuple[str, str, str],
    axis: Mapping[str, Any],
    values: Mapping[Line, Interval],
) -> Chart:
    """Return a chart of one interval a line; ``texts`` are its id, title and caption."""
    id, title, caption = texts
    compared = list(dict.fromkeys(found.name for found in answer.lines))
    rows = {found: label(" ".join(names(answer, found))) for found in values}
    traces = []
    for number, name in enumerate(compared):
        mine = [found for found in values if found.name == name]
        hue = COLOURS[number % len(COLOURS)]
        halves = [_half(values[found]) for found in mine]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label(name),
                "x": [values[found].mean for found in mine],
                "y": [rows[found] for found in mine],
                "error_x": {"type": "data", "array": halves, "color": hue},
                "marker": {"color": hue, "size": 10},
            }
        )
    return Chart(
        id=id,
        title=title,
        caption=caption,
        traces=traces,
        layout={
            "xaxis": axis,
            "yaxis": {
                "autorange": "reversed",
                "type": "category",
                "automargin": True,
                "categoryorder": "array",
                "categoryarray": list(rows.values()),
            },
            "showlegend": False,
            "hovermode": "closest",
        },
        height_px=130 + 30 * len(values),
    )


def _small_multiples(answer: Answer, curves: Curves) -> list[Chart]:
    """Return a chart of curves for each group, and for each eight names in it."""
    compared = list(dict.fromkeys(found.name for found in answer.lines))
    charts: list[Chart] = []
    for group in dict.fromkeys(found.group for found in answer.lines):
        for start in range(0, len(compared), len(COLOURS)):
            chunk = [
                name for name in compared[start : start + len(COLOURS)] if (group, name) in curves
            ]
            traces = [
                trace
                for name in chunk
                for trace in _band(name, curves[group, name], COLOURS[compared.index(name) - start])
            ]
            last = max((max(curves[group, name]) for name in chunk), default=0)
            charts.append(
                Chart(
                    id=f"curve-{len(charts)}",
                    title=group or answer.metric.title,
                    caption=f"{answer.metric.title}: mean over runs, and its 95 % interval.",
                    traces=traces,
                    layout={
                        "xaxis": rounds_axis(last),
                        "yaxis": share_axis(answer.metric.percent),
                        "showlegend": True,
                    },
                )
            )
    return charts


def _band(name: str, curve: Mapping[int, Sequence[float]], hue: str) -> list[dict[str, Any]]:
    """Return the mean of a line's runs by round, and the band of its interval."""
    rounds = sorted(curve)
    found = [interval(curve[round]) for round in rounds]
    low, high = ([each.mean + sign * _half(each) for each in found] for sign in (-1, 1))
    outline = {"x": [*rounds, *rounds[::-1]], "y": [*high, *low[::-1]]}
    red, green, blue = (int(hue[at : at + 2], 16) for at in (1, 3, 5))
    filled = {
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.15)",
        "line": {"width": 0},
    }
    hidden = {"hoverinfo": "skip", "showlegend": False}
    mean = {"x": rounds, "y": [each.mean for each in found]}
    return [outline | line(hue) | filled | hidden, mean | line(hue, name=label(name))]


def _curves(answer: Answer, rows: Sequence[Row]) -> Curves:
    curves: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in (row for row in rows if row["status"] == FINISHED):
        where = value_on(row, answer.by) if answer.by else "", value_on(row, answer.across)
        values = row.get(f"curve.{answer.metric.name}.mean") or []
        for round, value in zip(row.get("curve.round") or [], values, strict=False):
            if value is not None:
                curves[where][round].append(value)
    return curves


def _half(value: Interval) -> float:
    """Return the half-width of an interval; 0 where a single value leaves it unknown."""
    return value.half_width if np.isfinite(value.half_width) else 0.0
