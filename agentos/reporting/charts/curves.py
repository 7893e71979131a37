"""Learning curves, and each agent's values before training, alone and together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from agentos.evaluation.base import Metric
from agentos.records.layout import agent_name
from agentos.records.views.metric_curves import ArmCurve, MetricCurve
from agentos.records.views.outcome import Outcome, gains_of
from agentos.reporting.charts.plotting import (
    ALONE,
    BAND,
    BEFORE,
    CROWD,
    LINES,
    TOGETHER,
    Chart,
    Trace,
    colour,
    label,
    line,
    rounds_axis,
    share_axis,
)


def learning_curves(
    curves: Iterable[MetricCurve], names: Sequence[str], rounds: int
) -> list[Chart]:
    """Return metrics over rounds: a line per agent, dashed if it trained alone; a band over many.

    Args:
        curves: the metrics, one chart each.
        names: one per agent, each once.
        rounds: the last round of the axes.
    """
    crowd, charts = len(names) > LINES, []
    for curve in curves:
        arms = {"together": curve.together} | ({"alone": curve.alone} if curve.alone else {})
        traces = [
            trace
            for arm, found in arms.items()
            for trace in (_band(found, arm) if crowd else _lines(found, arm, names))
        ]
        layout = {
            "xaxis": rounds_axis(rounds),
            "yaxis": share_axis(curve.metric.percent),
            "showlegend": crowd,
        }
        metric = curve.metric
        charts.append(
            Chart(
                f"curve-{metric.name}", metric.title, metric.help, traces, layout, agents=not crowd
            )
        )
    return charts


def per_agent(result: Outcome, names: Sequence[str]) -> Chart | None:
    """Return each agent's main metric before, alone and together; for a crowd, a histogram of gains."""
    metric = result.main
    if metric is None:
        return None
    if len(names) > CROWD:
        return _gains(result, metric)
    arms = [("before training", result.before, BEFORE, "circle-open")]
    if result.isolated:
        arms.append(("alone", result.isolated, ALONE, "diamond"))
    if result.self_training:
        arms.append(("self-training", result.self_training, ALONE, "square-open"))
    arms.append(("together", result.together, TOGETHER, "circle"))
    shown = [label(name) for name in names]
    rows = [
        [arm.agents.get(agent_name(i), {}).get(metric.name) for _, arm, _, _ in arms]
        for i in range(len(names))
    ]
    spans: tuple[list[Any], list[Any]] = ([], [])
    for name, values in zip(shown, rows, strict=True):
        found = [value for value in values if value is not None]
        if found:
            spans[0].extend([min(found), max(found), None])
            spans[1].extend([name, name, None])
    span = line(BEFORE, hoverinfo="skip", showlegend=False)
    traces: list[Trace] = [{"x": spans[0], "y": spans[1]} | span]
    for column, (title, _, hue, symbol) in enumerate(arms):
        marker = {"color": hue, "size": 11, "symbol": symbol, "line": {"color": hue, "width": 2}}
        values = [row[column] for row in rows]
        traces.append(
            {"type": "scatter", "mode": "markers", "name": title, "x": values, "y": shown}
            | {"marker": marker}
        )
    return Chart(
        id="per-agent",
        title=f"{metric.title} of each agent",
        caption=" · ".join(title for title, _, _, _ in arms),
        traces=traces,
        layout={
            "xaxis": share_axis(metric.percent),
            "yaxis": {"autorange": "reversed", "type": "category", "automargin": True},
            "hovermode": "closest",
        },
        height_px=130 + 30 * len(names),
    )


def _lines(curve: ArmCurve, arm: str, names: Sequence[str]) -> list[Trace]:
    """Return a line per agent, in the colour of its button on the page."""
    alone = arm != "together"
    return [
        {"x": rounds, "y": values}
        | line(
            colour(agent),
            name=label(names[agent]) + (", alone" if alone else ""),
            dash="dash" if alone else "solid",
            mode="lines" if len(rounds) > 2 else "lines+markers",
            meta={"agent": agent_name(agent), "arm": arm},
            opacity=0.75 if alone else 1,
        )
        for agent, (rounds, values) in curve.by_agent.items()
    ]


def _band(curve: ArmCurve, arm: str) -> list[Trace]:
    """Return the mean over agents and the band that holds the middle 80 % of them."""
    rounds = curve.rounds
    mean = {"x": rounds, "y": curve.mean}
    if arm == "alone":
        return [mean | line(ALONE, name="alone", dash="dash")]
    low, high = ([float(np.quantile(v, q)) for v in curve.by_round.values()] for q in (0.1, 0.9))
    outline = {"x": [*rounds, *rounds[::-1]], "y": [*high, *low[::-1]]}
    filled = {"fill": "toself", "fillcolor": BAND, "hoverinfo": "skip", "line": {"width": 0}}
    band = outline | line(BAND, name="middle 80 % of agents") | filled
    return [band, mean | line(TOGETHER, name="together")]


def _gains(result: Outcome, metric: Metric) -> Chart:
    """Return a histogram of each agent's gain over training alone, or over the start."""
    reference, against = (
        (result.isolated, "training alone")
        if result.isolated
        else (result.before, "before training")
    )
    gains = gains_of(result.together, reference, metric)
    return Chart(
        id="per-agent",
        title=f"Gain in {metric.title} of the agents",
        caption=f"Number of agents by their gain over {against}; right of zero is better.",
        traces=[{"type": "histogram", "x": gains, "nbinsx": 40, "marker": {"color": TOGETHER}}],
        layout={
            "xaxis": {"tickformat": "+.1%" if metric.percent else "+", "zeroline": True},
            "yaxis": {"title": {"text": "agents"}},
            "bargap": 0.05,
        },
    )
