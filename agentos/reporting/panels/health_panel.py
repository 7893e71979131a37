"""The health panel of a report: rank shares, paused agents, and the similarity of neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from agentos.records.layout import agent_name
from agentos.records.views.histories import HealthHistory
from agentos.records.views.metric_curves import Points
from agentos.reporting.charts.curves import learning_curves
from agentos.reporting.charts.plotting import (
    LINES,
    Chart,
    Trace,
    colour,
    label,
    line,
    rounds_axis,
)

ROUND_MARK = {"symbol": "x", "size": 11, "color": "#d6457f"}
EDGES = 8
"""Maximum edges drawn one by one; above it, only the smallest, the mean and the largest value."""


def health_charts(health: HealthHistory | None, names: Sequence[str], rounds: int) -> list[Chart]:
    """Return the charts of the health panel; none if health was not monitored.

    Args:
        health: as recorded.
        names: one per agent, each once.
        rounds: the last round of the axes.
    """
    if health is None:
        return []
    charts = [
        replace(chart, traces=[*chart.traces, *_marks(health, names)])
        for chart in learning_curves(health.rank_share, names, rounds)
    ]
    charts.append(_similarity(health.cka, names, rounds))
    return [chart for chart in charts if chart.traces]


def paused_text(health: HealthHistory | None, names: Sequence[str]) -> str:
    """Return a sentence on the agents whose exchange was paused."""
    if health is None or not health.paused:
        return "No agent was paused."
    counts = (f"{names[agent]} in {len(found):,}" for agent, found in health.paused.items())
    return f"Paused rounds: {', '.join(counts)}."


def _marks(health: HealthHistory, names: Sequence[str]) -> list[Trace]:
    """Return a cross for every agent and round that was paused."""
    crowd = len(names) > LINES
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"{label(names[agent])}, paused",
            "x": [round for round, _ in points],
            "y": [share for _, share in points],
            "marker": ROUND_MARK,
            "showlegend": False,
            **({} if crowd else {"meta": {"agent": agent_name(agent), "arm": "together"}}),
        }
        for agent, points in health.paused.items()
    ]


def _similarity(cka: Mapping[tuple[int, int], Points], names: Sequence[str], rounds: int) -> Chart:
    """Return linear CKA over rounds: a line for each edge, or the spread over many."""
    return Chart(
        id="health-cka",
        title="Linear CKA of neighbours",
        caption="1: two neighbours embed the public anchors identically, up to rotation and scale; 0: "
        "unrelated.",
        traces=_spread(cka) if len(cka) > EDGES else _each(cka, names),
        layout={"xaxis": rounds_axis(rounds), "yaxis": {"range": [0, 1.02]}},
    )


def _each(cka: Mapping[tuple[int, int], Points], names: Sequence[str]) -> list[Trace]:
    return [
        {"x": rounds, "y": values}
        | line(
            colour(number),
            name=label(f"{names[a]} – {names[b]}"),
            mode="lines" if len(rounds) > 2 else "lines+markers",
        )
        for number, ((a, b), (rounds, values)) in enumerate(cka.items())
    ]


def _spread(cka: Mapping[tuple[int, int], Points]) -> list[Trace]:
    values: dict[int, list[float]] = defaultdict(list)
    for points in cka.values():
        for round, value in zip(*points, strict=True):
            values[round].append(value)
    rounds = sorted(values)
    sums: dict[str, Callable[[list[float]], float]]
    sums = {"least": min, "mean": fmean, "most": max}
    return [
        {"x": rounds, "y": [of(values[round]) for round in rounds]} | line(colour(i), name=name)
        for i, (name, of) in enumerate(sums.items())
    ]
