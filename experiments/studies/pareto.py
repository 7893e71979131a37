"""Charts of quality against bytes: the curve of every arm over the rounds, and the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from plotly import graph_objects, subplots

from agentos.reporting.charts.plotting import colour
from experiments.studies.exchange_results import ALONE, Arm, Study

Point = tuple[float, float]


def front(points: Iterable[Point]) -> list[Point]:
    """Return the points that no cheaper point equals or beats, cheapest first.

    Example:
        >>> front([(3.0, 0.5), (1.0, 0.2), (2.0, 0.1), (4.0, 0.6)])
        [(1.0, 0.2), (3.0, 0.5), (4.0, 0.6)]
    """
    best: list[Point] = []
    for cost, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or quality > best[-1][1]:
            best.append((cost, quality))
    return best


def draw(study: Study, title: str) -> Figure:
    """Draw one panel per topology: mean quality of the agents over the bytes sent so far."""
    topologies = list(dict.fromkeys(arm.topology for arm in study.arms if arm.name not in ALONE))
    hues = _hues(study)
    figure = Figure(figsize=(5.2 * len(topologies), 5.2), layout="constrained")
    axes = figure.subplots(1, len(topologies), sharex=True, sharey=True, squeeze=False)[0]
    for axis, topology in zip(axes, topologies, strict=True):
        for arm in _of(study, topology):
            x, y = zip(*_spent(study, arm), strict=True)
            axis.plot(x, y, color=hues[arm.name], linewidth=1.2, alpha=0.6)
            half = arm.interval(study.mean).half_width
            axis.errorbar(x[-1], y[-1], half, fmt="o", color=hues[arm.name], label=arm.name)
        ends = [_spent(study, arm)[-1] for arm in _of(study, topology)]
        axis.plot(
            *zip(*front(ends), strict=True),
            color="black",
            linestyle=":",
            drawstyle="steps-post",
            label="front",
        )
        for arm in (arm for arm in study.arms if arm.name in ALONE):
            axis.axhline(arm.mean(study.mean), color="grey", linestyle="--", linewidth=0.8)
            axis.annotate(
                arm.name, (0.01, arm.mean(study.mean)), xycoords=("axes fraction", "data"), size=7
            )
        axis.set(xscale="log", xlabel="bytes sent, all agents", title=topology.replace("_", "-"))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(study.metric.replace("_", " "))
    handles: dict[str, Any] = {}
    for axis in axes:
        drawn, names = axis.get_legend_handles_labels()
        handles.update(zip(names, drawn, strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle(title)
    return figure


def write_page(study: Study, title: str, path: Path) -> None:
    """Write the same chart as an interactive page that opens offline."""
    topologies = list(dict.fromkeys(arm.topology for arm in study.arms if arm.name not in ALONE))
    figure = subplots.make_subplots(
        1, len(topologies), subplot_titles=topologies, shared_yaxes=True
    )
    hues, known = _hues(study), set[str]()
    for column, topology in enumerate(topologies, start=1):
        for arm in _of(study, topology):
            x, y = zip(*_spent(study, arm), strict=True)
            trace: dict[str, Any] = {
                "name": arm.name,
                "legendgroup": arm.name,
                "mode": "lines+markers",
            }
            line = {"color": hues[arm.name]}
            shown = arm.name not in known
            figure.add_trace(
                graph_objects.Scatter(x=x, y=y, line=line, showlegend=shown, **trace), 1, column
            )
            known.add(arm.name)
        for arm in (arm for arm in study.arms if arm.name in ALONE):
            mean = arm.mean(study.mean)
            figure.add_hline(mean, line_dash="dot", annotation_text=arm.name, row=1, col=column)
    figure.update_xaxes(type="log", title="bytes sent, all agents")
    figure.update_layout(title=title, yaxis_title=study.metric.replace("_", " "))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path, include_plotlyjs=True)


def _of(study: Study, topology: str) -> list[Arm]:
    arms = [arm for arm in study.arms if arm.topology == topology and arm.name not in ALONE]
    return [arm for arm in arms if _spent(study, arm)]


def _spent(study: Study, arm: Arm) -> list[Point]:
    """Return (bytes, quality) at the evaluated rounds, from the first message on."""
    return [point for point in arm.curve(study.mean, "payload_bytes") if point[0] > 0]


def _hues(study: Study) -> dict[str, str]:
    """Return a hexadecimal colour for each arm, the same in every panel."""
    names = list(dict.fromkeys(arm.name for arm in study.arms if arm.name not in ALONE))
    if len(names) <= 8:
        return {name: colour(i) for i, name in enumerate(names)}
    wheel = colormaps["turbo"]
    return {name: to_hex(wheel((i + 0.5) / len(names))) for i, name in enumerate(names)}
