"""Quality against simulated seconds: what a society would have had by when, elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from agentos.evaluation import Metric
from agentos.records.reader import RunRecord
from agentos.reporting.charts.plotting import (
    ALONE,
    TOGETHER,
    Chart,
    Trace,
    colour,
    label,
    line,
    share_axis,
)
from agentos.reporting.outcome import SIMULATED_S, Outcome, Row, total
from agentos.reporting.units import count_text

POINTS = 200
"""Of a longer curve, so many points are drawn."""

Curve = tuple[list[float], list[float], list[float]]
"""Simulated seconds, and the mean and the worst value over agents by then."""


def over_time(rows: Iterable[Row], metric: Metric) -> Curve:
    """Return how a metric went on: at each time, over what every agent had last.

    Agents end a round at times of their own; the curve begins when every agent has a value.

    Example:
        >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
        >>> ends = [("agent-0", 0.0, 0.2), ("agent-1", 0.0, 0.4), ("agent-0", 1.0, 0.6)]
        >>> rows = [{"agent": a, "simulated_s": s, "mrr": v} for a, s, v in ends]
        >>> over_time(rows, mrr)
        ([0.0, 1.0], [0.30000000000000004, 0.5], [0.2, 0.4])
    """
    measured = [
        row for row in rows if _is_number(row, SIMULATED_S) and _is_number(row, metric.name)
    ]
    measured.sort(key=lambda row: row[SIMULATED_S])
    agents = len({row["agent"] for row in measured})
    worst = min if metric.higher_is_better else max
    last: dict[str, float] = {}
    points: dict[float, tuple[float, float]] = {}
    drawn = {int(i) for i in np.linspace(0, max(len(measured) - 1, 0), POINTS)} | {agents - 1}
    for number, row in enumerate(measured):
        last[row["agent"]] = row[metric.name]
        time = row[SIMULATED_S]
        if len(last) == agents and (number in drawn or time in points):
            points[time] = float(np.mean([*last.values()])), worst(last.values())
    return [*points], [mean for mean, _ in points.values()], [least for _, least in points.values()]


def against_time(record: RunRecord, result: Outcome) -> Chart | None:
    """Return mean and worst quality over simulated seconds; None for a run without a clock."""
    if result.simulated_s is None or not result.metrics:
        return None
    traces: list[Trace] = []
    for metric in result.metrics:
        shown = {"meta": {"metric": metric.name}, "visible": metric == result.main}
        seconds, mean, worst = over_time(record.metrics, metric)
        named = (("together, mean", mean, "solid"), ("together, worst agent", worst, "dot"))
        for name, values, dash in named:
            traces.append(line(seconds, values, TOGETHER, name=name, dash=dash) | shown)
        seconds, mean, _ = over_time(record.isolated or [], metric)
        if seconds:
            traces.append(line(seconds, mean, ALONE, name="alone, mean", dash="dash") | shown)
    return Chart(
        id="against-time",
        title="Quality against simulated time",
        caption="What the agents had by when, on the machines and links of the section clock: at each time "
        "over the last evaluation of every agent.",
        traces=traces,
        layout=_layout(result.main),
        height_px=340,
    )


def runs_over_time(
    runs: Sequence[tuple[str, Sequence[Row]]], metrics: Sequence[Metric]
) -> Chart | None:
    """Return each run's mean quality over simulated seconds; None where no run has a clock.

    Args:
        runs: the name of each, and its rows of metrics.
        metrics: one is shown at a time.
    """
    traces = []
    for metric in metrics:
        shown = {"meta": {"metric": metric.name}, "visible": metric == metrics[0]}
        for i, (name, rows) in enumerate(runs):
            seconds, mean, _ = over_time(rows, metric)
            if seconds:
                traces.append(line(seconds, mean, colour(i, len(runs)), name=label(name)) | shown)
    if not traces:
        return None
    return Chart(
        id="against-time",
        title="Quality against simulated time",
        caption="Mean over the last evaluation of every agent by each time; only runs with a clock.",
        traces=traces,
        layout=_layout(metrics[0]),
        height_px=420,
    )


def delays_text(rows: Sequence[Row]) -> str:
    """Say what became of messages where nobody waited; nothing where everybody did."""
    merged = total(rows, "messages_merged")
    if not merged:
        return ""
    stale, superseded = (total(rows, f"messages_{fate}") for fate in ("stale", "superseded"))
    behind = total(rows, "rounds_behind") / merged
    return (
        f"Of the messages that arrived, {count_text(merged)} were merged, {behind:.1f} rounds behind their "
        f"receiver on average; {count_text(superseded)} gave way to a later one of their sender, and "
        f"{count_text(stale)} were too old."
    )


def _layout(metric: Metric | None) -> dict[str, Any]:
    """Return the layout of a chart over simulated seconds."""
    return {
        "xaxis": {"title": {"text": "simulated seconds"}, "rangemode": "tozero"},
        "yaxis": share_axis(bool(metric and metric.percent)),
        "hovermode": "closest",
        "showlegend": True,
    }


def waited(rows: Sequence[Row]) -> float | None:
    """Return the share of the agents' simulated time in which they waited for messages; None if unknown."""
    if not any("simulated_wait_s" in row for row in rows):
        return None
    ends: dict[str, float] = {}
    for row in rows:
        ends[row["agent"]] = max(ends.get(row["agent"], 0.0), row.get(SIMULATED_S) or 0.0)
    spent = sum(ends.values())
    return sum(row.get("simulated_wait_s") or 0.0 for row in rows) / spent if spent else None


def _is_number(row: Row, key: str) -> bool:
    return isinstance(row.get(key), (int, float))
