"""Quality against simulated seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentos.evaluation import Metric
from agentos.records.reader import load_run
from agentos.records.views.histories import SimulatedTime, clock_of
from agentos.records.views.metric_curves import TIMED_POINTS, timed_curve
from agentos.reporting.charts.simulated_time import runs_over_time
from agentos.reporting.panels.traffic_panel import delays_text

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
    seconds, mean, worst = timed_curve(rows, MRR)
    assert seconds == [0.0, 1.0, 3.0, 5.0]
    assert mean == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert worst == [0.1, 0.3, 0.3, 0.7]
    assert timed_curve(rows, LOSS)[2] == [3.0, 3.0, 2.0]


def test_curve_begins_when_every_agent_has_a_value_and_ends_with_the_last() -> None:
    rows = [
        row(agent, 10.0 * round + agent, mrr=round) for round in range(50) for agent in (0, 1, 2)
    ]
    seconds, mean, _ = timed_curve(rows, MRR)
    assert (seconds[0], seconds[-1], mean[-1]) == (2.0, 492.0, 49.0)
    many = [row(0, float(round), mrr=0.0) for round in range(10 * TIMED_POINTS)]
    assert TIMED_POINTS <= len(timed_curve(many, MRR)[0]) <= TIMED_POINTS + 1


def clock(rows: list[dict[str, object]], **changes: float | None) -> SimulatedTime:
    counts = {"waited": None, "merged": 0, "superseded": 0, "stale": 0, "rounds_behind": 0}
    return SimulatedTime({"mrr": timed_curve(rows, MRR)}, {}, **(counts | changes))  # type: ignore[arg-type]


def test_comparison_shows_only_runs_with_a_clock() -> None:
    clocked = clock([row(0, 0.0, mrr=0.1), row(0, 2.0, mrr=0.2)])
    chart = runs_over_time([("plain", None), ("timed", clocked)], [MRR], ["red", "blue"])
    assert chart is not None
    assert [(trace["name"], trace["x"], trace["y"]) for trace in chart.traces] == [
        ("timed", [0.0, 2.0], [0.1, 0.2])
    ]
    assert runs_over_time([("plain", None)], [MRR], ["red"]) is None


def test_share_of_waiting_is_of_all_agents_time(ring_run: Path) -> None:
    rows = [row(0, 4.0, simulated_wait_s=1.0), row(1, 6.0, simulated_wait_s=0.5)]
    rows.append(row(0, 10.0, simulated_wait_s=2.5))
    record = load_run(ring_run)
    assert clock_of(replace(record, metrics=rows), [MRR]).waited == 4.0 / 16.0
    assert clock_of(replace(record, metrics=[row(0, 4.0)]), [MRR]).waited is None


def test_fate_of_messages_is_described_in_an_asynchronous_run() -> None:
    text = delays_text(clock([], merged=4, stale=1, superseded=2, rounds_behind=6))
    assert "4 were merged, on average 1.5 rounds behind" in text
    assert "2 were superseded" in text
    assert "1 were too old" in text
    assert delays_text(clock([])) == delays_text(None) == ""
