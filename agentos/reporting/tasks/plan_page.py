"""The page of a plan: a Gantt picture, and what each agent will spend."""

from __future__ import annotations

from pathlib import Path

from agentos.reporting.charts.gantt import gantt
from agentos.reporting.page import write_page
from agentos.reporting.units import bytes_text, count_text, short_seconds
from agentos.tasks.planning.work_plan import WorkPlan

HEADINGS = ("agent", "subtasks", "busy", "FLOPs", "bytes sent")


def agent_rows(plan: WorkPlan) -> list[tuple[str, ...]]:
    """Return a row of texts for each agent, under `HEADINGS`."""
    rows: list[tuple[str, ...]] = []
    for agent, name in enumerate(plan.agents):
        mine = [at for at in plan.schedule.placements if at.agent == agent]
        busy = sum(at.end_s - at.start_s for at in mine)
        flops, sent = float(plan.flops[agent]), int(plan.sent_bytes[agent])
        rows.append(
            (name, f"{len(mine):,}", short_seconds(busy), count_text(flops), bytes_text(sent))
        )
    return rows


def write_plan(path: Path, name: str, plan: WorkPlan) -> Path:
    """Write the page of a plan.

    Args:
        path: the page.
        name: of the task.
        plan: what was planned.

    Raises:
        RecordError: the page cannot be written.
    """
    chart = gantt(plan.schedule, plan.subtasks, plan.agents, "simulated seconds")
    return write_page(
        path,
        "plan.html.j2",
        charts=[chart],
        name=name,
        chart=chart,
        headings=HEADINGS,
        rows=agent_rows(plan),
        makespan=short_seconds(plan.makespan_s),
    )
