"""Seconds of a run by phase: every moment counts once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentos import RunConfig, Simulation
from agentos.events.phase_times import PhaseTimes
from agentos.records.reports import RoundReport
from agentos.records.views.run_view import load_view
from agentos.reporting.units import phases_text


def test_every_second_belongs_to_one_phase() -> None:
    now = 0.0

    def after(seconds: float) -> PhaseTimes:
        nonlocal now
        now += seconds
        return times

    times = PhaseTimes(lambda: now)
    after(1).on_phase("together", 1, "training")
    after(8).on_phase("together", 1, "exchanging")
    after(2).on_round(RoundReport("together", 1, 2, {}, {}, 10.0, 0))
    after(0.5).on_phase("together", 2, "training")
    after(16).on_stage("Saving encoders")
    after(4).close()
    assert times.seconds == {
        "starting": 1,
        "training": 24,
        "exchanging": 2,
        "records": 0.5,
        "comparing and saving": 4,
    }
    assert sum(times.seconds.values()) == now


def test_run_says_what_took_its_time(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, no_report: None
) -> None:
    config = small(baseline={"isolated": False}, checkpoints={"every": 1})
    result = Simulation(config, tmp_path / "run", cache=cache).run()
    phases = {"training", "monitoring", "exchanging", "evaluating", "checkpointing", "records"}
    assert set(result.phase_s) == phases | {"starting", "comparing and saving"}
    assert 0 < sum(result.phase_s.values()) <= result.wall_s
    assert load_view(tmp_path / "run").outcome.phase_s == result.phase_s
    assert "training" in phases_text(result.phase_s)
