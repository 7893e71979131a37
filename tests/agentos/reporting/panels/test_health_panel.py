from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos.records.reader import RunRecord, load_run
from agentos.records.recorder import Recorder
from agentos.records.views.run_view import view_run
from agentos.reporting.panels.health_panel import EDGES, health_charts, paused_text
from agentos.reporting.report import write_report


def watched(record: RunRecord, edges: int = 5) -> RunRecord:
    """Return a record with looks: agent-2 is paused in rounds 2 and 3."""
    rows: list[dict[str, Any]] = []
    for row in record.metrics:
        paused = row["agent"] == "agent-2" and row["round"] in (2, 3)
        looked = {"anchor_rank_share": 0.01 if paused else 0.4, "paused": int(paused)}
        rows.append({**row, **looked} if row["round"] else row)
    looks = [
        {
            "round": round,
            "cka": [[0, b, 0.5 + 0.01 * round] for b in range(1, 1 + edges)],
            "paused": {},
        }
        for round in range(1, 5)
    ]
    return dataclasses.replace(record, metrics=rows, health=looks)


def test_nothing_is_shown_where_health_was_not_monitored(ring_run: Path) -> None:
    record = load_run(ring_run)
    assert record.health == []
    assert view_run(record).health is None
    assert health_charts(None, record.names, 8) == []
    assert "No agent was paused" not in write_report(ring_run).read_text("utf-8")


def test_paused_rounds_are_counted_and_crossed(ring_run: Path) -> None:
    run = view_run(watched(load_run(ring_run)))
    assert paused_text(run.health, run.names) == f"Paused rounds: {run.names[2]} in 2."
    ranks, alike = health_charts(run.health, run.names, 8)
    (cross,) = [trace for trace in ranks.traces if trace.get("mode") == "markers"]
    assert (cross["x"], cross["y"]) == ([2, 3], [0.01, 0.01])
    assert cross["meta"] == {"agent": "agent-2", "arm": "together"}
    assert len(alike.traces) == 5
    assert list(alike.traces[0]["x"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("edges", [5 + EDGES])
def test_many_edges_are_shown_by_their_spread(
    make_run: Callable[..., Path], tmp_path: Path, edges: int
) -> None:
    run = view_run(watched(load_run(make_run(tmp_path / "crowd", agents=60, rounds=4)), edges))
    ranks, alike = health_charts(run.health, run.names, 4)
    assert [trace["name"] for trace in alike.traces] == ["least", "mean", "most"]
    assert any(trace.get("mode") == "markers" for trace in ranks.traces)


def test_health_survives_the_record(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", rounds=2)
    recorder = Recorder(folder)
    recorder.health(1, {(0, 1): 0.25, (0, 2): float("nan")}, {1: "because"})
    (look,) = load_run(folder).health
    assert look == {
        "round": 1,
        "cka": [[0, 1, 0.25], [0, 2, None]],
        "paused": {"agent-1": "because"},
    }
    assert "health-cka" in write_report(folder).read_text("utf-8")
