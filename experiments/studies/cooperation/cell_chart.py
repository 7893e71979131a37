"""A chart of a study: one panel for what the cells differ in, one line for each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agentos.reporting.charts.plotting import COLOURS
from agentos.reporting.statistics import interval
from experiments.studies.cooperation.paired_lines import Line

Panel = Sequence[tuple[str, Sequence[Line]]]
"""Cells in order: the name of each, and its lines."""


def draw(panels: Mapping[str, Panel], metric: str, title: str) -> Figure:
    """Draw the mean agent over the cells of every panel, with 95 % intervals over seeds."""
    names = list(
        dict.fromkeys(
            line.name for cells in panels.values() for _, lines in cells for line in lines
        )
    )
    crowded = any(len(lines) > 1 for cells in panels.values() for _, lines in cells)
    slant: dict[str, Any] = {"rotation": 20 if crowded else 60, "ha": "right", "fontsize": 8}
    figure = Figure(figsize=(max(6.0, 3.6 * len(panels)), 4.6), layout="constrained")
    axes = figure.subplots(1, max(1, len(panels)), sharey=True, squeeze=False)[0]
    for axis, (what, cells) in zip(axes, panels.items(), strict=False):
        for index, name in enumerate(names):
            # Side by side, so that intervals do not hide each other.
            shift = 0.3 * (index / (len(names) - 1) - 0.5) if crowded else 0.0
            colour = COLOURS[index % len(COLOURS)] if crowded else COLOURS[0]
            _draw_arm(axis, name, cells, shift, colour)
        axis.set_xticks(range(len(cells)), [cell for cell, _ in cells], **slant)
        axis.set(title=what)
        axis.grid(alpha=0.3)
    # Intervals of two seeds reach beyond what a share can be, and would flatten the rest.
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(max(low, 0.0), min(high, 1.0))
    axes[0].set_ylabel(metric.replace("_", " "))
    handles: dict[str, Any] = {}
    for axis in axes:
        drawn, known = axis.get_legend_handles_labels()
        handles.update(zip(known, drawn, strict=True))
    if crowded:
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=8
        )
    figure.suptitle(title)
    return figure


def _draw_arm(axis: Axes, name: str, cells: Panel, shift: float, colour: str) -> None:
    points = [
        (x + shift, interval(list(line.mean.values())))
        for x, (_, lines) in enumerate(cells)
        for line in lines
        if line.name == name
    ]
    if not points:
        return
    axis.errorbar(
        [x for x, _ in points],
        [found.mean for _, found in points],
        [found.half_width if isfinite(found.half_width) else 0.0 for _, found in points],
        fmt="o-" if len(points) > 1 else "o",
        color=colour,
        linewidth=1.2,
        markersize=4,
        label=name,
    )
