"""Gantt chart of a schedule: agents, their subtasks and times."""

from __future__ import annotations

from collections.abc import Sequence

from agentos.reporting.charts.plotting import Chart, colour, label
from agentos.tasks.scheduling.placements import Schedule

_SHOWN = 400
"""Most subtasks that are drawn."""


def gantt(
    schedule: Schedule, subtasks: Sequence[str], agents: Sequence[str], unit: str = "seconds"
) -> Chart:
    """Return a lane for each agent, with a bar for each of its subtasks.

    Args:
        schedule: placements of the subtasks.
        subtasks: name of each subtask.
        agents: name of each agent; those without a subtask get a lane all the same.
        unit: the unit of time, in words.
    """
    # All bars of an agent are one trace, so that its colour and its lane go together.
    placed = list(zip(subtasks, schedule.placements, strict=True))[:_SHOWN]
    traces = []
    for number, name in enumerate(agents):
        mine = [(subtask, at) for subtask, at in placed if at.agent == number]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label(name),
                "y": [label(name)] * len(mine),
                "base": [round(at.start_s, 6) for _, at in mine],
                "x": [round(at.end_s - at.start_s, 6) for _, at in mine],
                "text": [label(subtask) for subtask, _ in mine],
                "textposition": "inside",
                "marker": {"color": colour(number), "line": {"width": 1}},
                "hovertemplate": "%{text}: %{x:.4~g} s from %{base:.4~g} s",
            }
        )
    more = len(subtasks) - len(placed)
    return Chart(
        id="schedule",
        title="Schedule",
        caption=f"The last subtask ends after {schedule.makespan_s:.4g} {unit}."
        + (f" {more:,} more subtasks are not drawn." if more > 0 else ""),
        traces=traces,
        layout={
            "barmode": "overlay",
            "xaxis": {"title": {"text": unit}, "rangemode": "tozero"},
            "yaxis": {
                "type": "category",
                "categoryorder": "array",
                "categoryarray": [label(name) for name in reversed(agents)],
            },
            "showlegend": False,
        },
        height_px=80 + 34 * len(agents),
    )
