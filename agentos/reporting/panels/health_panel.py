"""The health panel of a report: who was near collapse, whose exchange was paused, and who grows alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from statistics import fmean
from typing import Any

from agentos.records.reader import RunRecord
from agentos.reporting.charts.curves import CROWD, learning_curve
from agentos.reporting.charts.plotting import Chart, Trace, colour, label, line, rounds_axis
from agentos.reporting.charts.series import agent_number, unique

ROUND_MARK = {"symbol": "x", "size": 11, "color": "#d6457f"}
EDGES = 24
"""Edges that are drawn one by one; of more, only the least, the mean and the most."""


def paused_rounds(record: RunRecord) -> dict[str, int]:
    """Return in how many rounds the exchange of each agent was paused, if ever."""
    counts = Counter(row["agent"] for row in record.metrics if row.get("paused"))
    return dict(sorted(counts.items(), key=lambda item: agent_number(item[0])))


def health_charts(record: RunRecord) -> list[Chart]:
    """Return the charts of the health panel; none where nobody looked."""
    if not record.health:
        return []
    ranks = learning_curve(
        record,
        "anchor_rank_share",
        "Rank share on public anchors",
        "Share of the directions that the embeddings use (by RankMe); at 0, all texts lie on one line. A "
        "cross marks a round in which the agent's exchange was paused.",
        percent=True,
    )
    marked = Chart(
        id=ranks.id,
        title=ranks.title,
        caption=ranks.caption,
        traces=[*ranks.traces, *_marks(record)],
        layout=ranks.layout,
        agents=ranks.agents,
    )
    drawn = [marked, _alike(record)]
    return [chart for chart in drawn if chart.traces]


def _marks(record: RunRecord) -> list[Trace]:
    """Return a cross for every agent and round that was paused."""
    crowd = record.network.agents > CROWD
    found: dict[str, list[Any]] = defaultdict(list)
    for row in record.metrics:
        if row.get("paused"):
            found[row["agent"]].append((row["round"], row.get("anchor_rank_share") or 0.0))
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"{label(unique(record.names)[agent_number(agent)])}, paused",
            "x": [round for round, _ in points],
            "y": [share for _, share in points],
            "marker": ROUND_MARK,
            "showlegend": False,
            **({} if crowd else {"meta": {"agent": agent, "arm": "together"}}),
        }
        for agent, points in found.items()
    ]


def _alike(record: RunRecord) -> Chart:
    """Return linear CKA over rounds: a line for each edge, or the spread over many."""
    edges: dict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
    for look in record.health:
        for a, b, value in look.get("cka", []):
            if value is not None:
                edges[a, b].append((look["round"], value))
    return Chart(
        id="health-cka",
        title="Linear CKA of neighbours",
        caption="1: two neighbours see the public anchors alike, up to rotation and scale; 0: unrelated.",
        traces=_spread(edges) if len(edges) > EDGES else _each(record, edges),
        layout={"xaxis": rounds_axis(record.metrics), "yaxis": {"range": [0, 1.02]}},
    )


def _each(record: RunRecord, edges: dict[tuple[int, int], list[tuple[int, float]]]) -> list[Trace]:
    names = unique(record.names)
    return [
        line(
            [round for round, _ in points],
            [value for _, value in points],
            colour(number, len(edges)),
            name=label(f"{names[a]} – {names[b]}"),
            mode="lines" if len(points) > 2 else "lines+markers",
        )
        for number, ((a, b), points) in enumerate(sorted(edges.items()))
    ]


def _spread(edges: dict[tuple[int, int], list[tuple[int, float]]]) -> list[Trace]:
    values: dict[int, list[float]] = defaultdict(list)
    for points in edges.values():
        for round, value in points:
            values[round].append(value)
    rounds = sorted(values)
    sums: dict[str, Callable[[list[float]], float]]
    sums = {"least": min, "mean": fmean, "most": max}
    return [
        line(rounds, [of(values[round]) for round in rounds], colour(i, 3), name=name)
        for i, (name, of) in enumerate(sums.items())
    ]
