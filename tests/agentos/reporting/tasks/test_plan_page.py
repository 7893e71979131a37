"""The page of a plan, and its table in the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agentos.cli.display.plan_table import BUSY, IDLE, lane, show_plan
from agentos.reporting.tasks.plan_page import agent_rows, write_plan
from agentos.tasks.planning.work_plan import WorkPlan
from agentos.tasks.scheduling.placements import Placement, Schedule

PLAN = WorkPlan(
    subtasks=("assign", "<b>root</b>", "join"),
    agents=("one", "<i>two</i>"),
    schedule=Schedule((Placement(0, 0, 0), Placement(1, 3, 1), Placement(3.5, 4, 0))),
    flops=np.array([2e6, 5e9]),
    sent_bytes=np.array([300, 45_000]),
)


def test_row_of_each_agent_tells_what_it_does_and_spends() -> None:
    assert agent_rows(PLAN) == [
        ("one", "2", "500 ms", "2.00 M", "300 B"),
        ("<i>two</i>", "1", "2.0 s", "5.00 G", "45.0 kB"),
    ]


def test_page_shows_schedule_and_costs_and_escapes_names(tmp_path: Path) -> None:
    html = write_plan(tmp_path / "plan.html", "a <task>", PLAN).read_text("utf-8")
    assert "a &lt;task&gt;" in html
    assert "<b>root" not in html
    assert "<i>two" not in html
    assert "45.0 kB" in html
    assert "joined after 4.0 s" in html


def test_terminal_shows_lanes_and_makespan() -> None:
    console = Console(width=80)  # the names must fit, too
    with console.capture() as captured:
        show_plan(console, PLAN)
    shown = captured.get()
    assert "joined after 4.0 s" in shown
    assert IDLE * 6 + BUSY * 12 + IDLE * 6 in shown
    assert "<i>two</i>" in shown


@pytest.mark.parametrize(
    ("placements", "expected"),
    [
        ([], "········"),
        ([Placement(0.0, 4.0, 0)], "████████"),
        ([Placement(3.9, 3.95, 0)], "·······█"),
        ([Placement(4.0, 4.0, 0)], "········"),
        ([Placement(0.4, 0.6, 0), Placement(2.0, 2.5, 0)], "██··█···"),
    ],
)
def test_character_is_full_where_the_agent_works_in_any_part_of_it(placements, expected) -> None:
    assert lane(placements, 4.0, 8) == expected
