"""Quality against simulated seconds: on the machines and links of the section ``clock``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentos.evaluation.base import Metric
from agentos.records.views.histories import SimulatedTime
from agentos.reporting.charts.plotting import (
    ALONE,
    TOGETHER,
    Chart,
    Trace,
    label,
    line,
    share_axis,
)


def against_time(clock: SimulatedTime, metrics: Sequence[Metric]) -> Chart:
    """Return mean and worst quality over simulated seconds, one metric shown at a time."""
    traces: list[Trace] = []
    for metric in metrics:
        shown = {"meta": {"metric": metric.name}, "visible": metric == metrics[0]}
        seconds, mean, worst = clock.together[metric.name]
        named = (("together, mean", mean, "solid"), ("together, worst agent", worst, "dot"))
        for name, values, dash in named:
            style = line(TOGETHER, name=name, dash=dash)
            traces.append({"x": seconds, "y": values} | style | shown)
        seconds, mean, _ = clock.alone[metric.name]
        if seconds:
            style = line(ALONE, name="alone, mean", dash="dash")
            traces.append({"x": seconds, "y": mean} | style | shown)
    return Chart(
        id="against-time",
        title="Quality against simulated time",
        caption="At each time, the mean and the worst of the agents' latest evaluations.",
        traces=traces,
        layout=_layout(metrics[0]),
        height_px=340,
    )


def runs_over_time(
    runs: Sequence[tuple[str, SimulatedTime | None]],
    metrics: Sequence[Metric],
    hues: Sequence[str],
) -> Chart | None:
    """Return each run's mean quality over simulated seconds; None if no run has a clock.

    Args:
        runs: name and simulated time of each.
        metrics: the metrics of any run; one is shown at a time.
        hues: colour of each run.
    """
    traces = []
    for metric in metrics:
        shown = {"meta": {"metric": metric.name}, "visible": metric == metrics[0]}
        for i, (name, clock) in enumerate(runs):
            seconds, mean, _ = (clock.together.get(metric.name) if clock else None) or ([], [], [])
            if seconds:
                style = line(hues[i], name=label(name))
                traces.append({"x": seconds, "y": mean} | style | shown)
    if not traces:
        return None
    return Chart(
        id="against-time",
        title="Quality against simulated time",
        caption="At each time, the mean of the agents' latest evaluations; only runs with a clock.",
        traces=traces,
        layout=_layout(metrics[0]),
        height_px=420,
    )


def _layout(metric: Metric) -> dict[str, Any]:
    """Return the layout of a chart over simulated seconds."""
    return {
        "xaxis": {"title": {"text": "simulated seconds"}, "rangemode": "tozero"},
        "yaxis": share_axis(metric.percent),
        "hovermode": "closest",
        "showlegend": True,
    }
