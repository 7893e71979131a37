"""Quality against simulated seconds."""

from __future__ import annotations

import pytest

from agentos.evaluation import Metric
from agentos.reporting.charts.simulated_time import (
    POINTS,
    delays_text,
    over_time,
    runs_over_time,
    waited,
)

MRR = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
LOSS = Metric(name="gap", higher_is_better=False, help="A gap.")


def row(agent: int, simulated_s: float, **values: float | None) -> dict[str, object]:
    return {"agent": f"agent-{agent}", "simulated_s": simulated_s, **values}


def test_curve_is_over_what_every_agent_had_last() -> None:
    rows = [
        row(0, 0.0, mrr=0.1, gap=1.0),
        row(1, 0.0, mrr=0.3, gap=3.0),
        row(
            1, 5.0, mrr=0.7, gap=1.0
        ),  # the slow one ends its first round after the second of the other
        row(0, 1.0, mrr=0.5, gap=2.0),
        row(0, 2.0),  # not evaluated
        row(0, 3.0, mrr=0.9, gap=None),
    ]
    seconds, mean, worst = over_time(rows, MRR)
    assert seconds == [0.0, 1.0, 3.0, 5.0]
    assert mean == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert worst == [0.1, 0.3, 0.3, 0.7]
    assert over_time(rows, LOSS)[2] == [3.0, 3.0, 2.0]


def test_curve_begins_when_every_agent_has_a_value_and_ends_with_the_last() -> None:
    rows = [
        row(agent, 10.0 * round + agent, mrr=round) for round in range(50) for agent in (0, 1, 2)
    ]
    seconds, mean, _ = over_time(rows, MRR)
    assert (seconds[0], seconds[-1], mean[-1]) == (2.0, 492.0, 49.0)
    many = [row(0, float(round), mrr=0.0) for round in range(10 * POINTS)]
    assert POINTS <= len(over_time(many, MRR)[0]) <= POINTS + 1


def test_comparison_shows_only_runs_with_a_clock() -> None:
    clocked = [row(0, 0.0, mrr=0.1), row(0, 2.0, mrr=0.2)]
    chart = runs_over_time(
        [("plain", [{"agent": "agent-0", "mrr": 0.5}]), ("timed", clocked)], [MRR]
    )
    assert chart is not None
    assert [(trace["name"], trace["x"], trace["y"]) for trace in chart.traces] == [
        ("timed", [0.0, 2.0], [0.1, 0.2])
    ]
    assert runs_over_time([("plain", [])], [MRR]) is None


def test_share_of_waiting_is_of_all_agents_time() -> None:
    rows = [row(0, 4.0, simulated_wait_s=1.0), row(1, 6.0, simulated_wait_s=0.5)]
    assert waited([*rows, row(0, 10.0, simulated_wait_s=2.5)]) == 4.0 / 16.0
    assert waited([row(0, 4.0)]) is None


def test_fate_of_messages_is_told_where_nobody_waited() -> None:
    counts = {"messages_merged": 4, "messages_stale": 1, "messages_superseded": 2}
    told = delays_text([row(0, 1.0, **counts, rounds_behind=6), row(1, 1.0)])
    assert "4 were merged, 1.5 rounds behind" in told
    assert "2 gave way" in told
    assert "1 were too old" in told
    assert delays_text([row(0, 1.0, simulated_wait_s=1.0)]) == ""
