"""A plan in the terminal: lanes of agents over time, and what each will spend."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentos.reporting.tasks.plan_page import HEADINGS, agent_rows
from agentos.reporting.units import short_seconds
from agentos.tasks.planning.work_plan import WorkPlan
from agentos.tasks.scheduling.placements import Placement

WIDTH = 24
"""Characters of a lane."""
BUSY, IDLE = "█", "·"


def show_plan(console: Console, plan: WorkPlan) -> None:
    """Print a lane for each agent, its costs, and the makespan."""
    table = Table(box=None)
    for number, heading in enumerate((*HEADINGS, f"0 to {short_seconds(plan.makespan_s)}")):
        right = 0 < number < len(HEADINGS)
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for agent, row in enumerate(agent_rows(plan)):
        mine = [at for at in plan.schedule.placements if at.agent == agent]
        table.add_row(*map(Text, row), Text(lane(mine, plan.makespan_s, WIDTH)))
    console.print(table)
    console.print(f"all answers are joined after {short_seconds(plan.makespan_s)}", highlight=False)


def lane(placements: list[Placement], makespan_s: float, width: int) -> str:
    """Return what an agent does over time: a character is full if it works in any part of it.

    Example:
        >>> lane([Placement(0.0, 1.0, 0), Placement(3.0, 3.5, 0)], 4.0, 8)
        '██····█·'
    """
    lane = [IDLE] * width
    for start_s, end_s, _ in placements:
        if end_s > start_s and makespan_s > 0:
            first = min(width - 1, int(start_s / makespan_s * width))
            ended = math.ceil(end_s / makespan_s * width - 1e-9)  # rounding noise is no work
            last = min(max(first + 1, ended), width)
            lane[first:last] = [BUSY] * (last - first)
    return "".join(lane)
