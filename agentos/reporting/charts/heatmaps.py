"""Heat maps: similarities between agents, and confusion matrices of the probe.

Shapes: A agents, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentos.evaluation.similarity import MEASURES
from agentos.records.agent_similarity import AgentSimilarity
from agentos.reporting.charts.plotting import Chart, label

PALE, DEEP = "#eef3fb", "#1d4f9c"
"""Ends of the scale of heat maps; they read on a light and on a dark page."""
HOLE = "--hole"
"""Colour of cells without a value, such as the diagonal: grey, apart from the scale."""
WRITTEN = 10
"""Maximum agents or labels for which the cells of a heat map show their numbers."""
SPAN = 0.05
"""Smallest range of a heat map's colours; every measure is between 0 and 1."""
_ARMS = {"together": "together", "isolated": "alone", "self_training": "self-training"}


def heat_maps(between: AgentSimilarity, names: Sequence[str]) -> list[Chart]:
    """Return a heat map of each measure and arm; all arms of a measure share one scale."""
    shown = [label(names[agent], 18) for agent in between.sample.agents]
    if len(shown) < 2:
        return []
    charts = []
    for name, measure in MEASURES.items():
        arms = {arm: np.array(found[name]) for arm, found in between.matrices.items()}
        others = ~np.eye(len(shown), dtype=bool)
        values = np.concatenate([matrix[others] for matrix in arms.values()])
        low, high = float(values.min()), float(values.max())
        # Without this, agents that agree to the third digit would differ in colour.
        high = max(high, min(1.0, low + SPAN))
        scale: dict[str, Any] = {"zmin": min(low, high - SPAN), "zmax": high}
        scale["reversescale"] = measure.identical == 0
        for arm, matrix in arms.items():
            # An agent equals itself, so the diagonal would only widen the range of colours.
            cells = [
                [None if i == j else round(float(value), 4) for j, value in enumerate(row)]
                for i, row in enumerate(matrix)
            ]
            mean = float(matrix[others].mean())
            charts.append(
                _heat_chart(
                    f"{name}-{arm}",
                    f"{measure.title}, {_ARMS.get(arm, arm)}",
                    f"Mean {mean:.2f}. {measure.help}",
                    cells,
                    shown,
                    "%{y} and %{x}: %{z:.2f}<extra></extra>",
                    **scale,
                )
            )
    return charts


def confusions(between: AgentSimilarity) -> list[Chart]:
    """Return the probe's confusion matrix for each arm, summed over agents, as shares of a row."""
    charts = []
    for arm, agents in between.explained.items():
        probes = [kinds["probe"] for kinds in agents.values() if "probe" in kinds]
        if not probes:
            continue
        counts = np.sum([probe["confusion"] for probe in probes], axis=0)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        charts.append(
            _heat_chart(
                f"confusion-{arm}",
                f"Probe, {_ARMS.get(arm, arm)}",
                f"{np.trace(counts) / max(1, counts.sum()):.0%} of the predictions are right.",
                shares.round(4).tolist(),
                [label(name, 24) for name in probes[0]["labels"]],
                "%{z:.0%} of %{y} are predicted as %{x}<extra></extra>",
                zmin=0.0,
                zmax=float(shares.max()),
                written="%{z:.0%}",
            )
        )
    return charts


def _heat_chart(
    id: str,
    title: str,
    caption: str,
    cells: list[list[float | None]],
    names: Sequence[str],
    hover: str,
    *,
    written: str = "%{z:.2f}",
    **scale: Any,
) -> Chart:
    trace: dict[str, Any] = {
        "type": "heatmap",
        "z": cells,
        "x": list(names),
        "y": list(names),
        "colorscale": [[0, PALE], [1, DEEP]],
        "hovertemplate": hover,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"thickness": 10, "outlinewidth": 0},
        **scale,
    }
    if len(names) <= WRITTEN:
        trace["texttemplate"] = written
    every = {"type": "category", "automargin": True, "showgrid": False, "dtick": 1}
    return Chart(
        id=id,
        title=title,
        caption=caption,
        traces=[trace],
        layout={
            "xaxis": every | {"tickangle": -40},
            "yaxis": every | {"autorange": "reversed"},
            # On a page's own colour the diagonal would look like the palest or the darkest cell.
            "plot_bgcolor": HOLE,
            "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        },
        height_px=min(620, 200 + 26 * len(names)),
    )
