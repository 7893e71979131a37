"""The picture of a schedule holds its placements."""

from __future__ import annotations

from agentos.reporting.charts.gantt import gantt
from agentos.tasks.scheduling.placements import Placement, Schedule


def test_bars_are_the_placements_and_idle_agents_have_a_lane() -> None:
    schedule = Schedule((Placement(0, 2, 1), Placement(2.5, 4, 0), Placement(2, 3, 1)))
    chart = gantt(schedule, ["<read>", "sort", "end"], ["agent-0", "agent-1", "agent-2"])
    bars = {
        (text, trace["y"][i]): (trace["base"][i], trace["x"][i])
        for trace in chart.traces
        for i, text in enumerate(trace["text"])
    }
    assert bars == {
        ("&lt;read&gt;", "agent-1"): (0, 2),
        ("sort", "agent-0"): (2.5, 1.5),
        ("end", "agent-1"): (2, 1),
    }
    assert chart.layout["yaxis"]["categoryarray"] == ["agent-2", "agent-1", "agent-0"]
    assert "4 seconds" in chart.caption


def test_large_schedules_say_what_is_not_drawn() -> None:
    schedule = Schedule(tuple(Placement(i, i + 1, 0) for i in range(500)))
    chart = gantt(schedule, [str(i) for i in range(500)], ["one"])
    assert len(chart.traces[0]["x"]) == 400
    assert "100 more" in chart.caption
