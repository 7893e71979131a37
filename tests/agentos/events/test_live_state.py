"""The live state of a run: what it holds while the run goes on, and that it is no record."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.events import live_state as module
from agentos.events.live_state import LiveState
from agentos.records.layout import ISOLATED, LIVE, TOGETHER
from agentos.records.reports import Restart, RoundReport
from protocols.ledger import Ledger


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def read(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / LIVE).read_text("utf-8"))
    return state


def report(round: int, arm: str = TOGETHER) -> RoundReport:
    return RoundReport(arm, round, 4, {0: {"loss": 2.0}}, {}, 1.0, 100 * round)


def test_time_left_is_that_of_all_arms_at_the_pace_so_far(tmp_path: Path) -> None:
    clock = Clock()
    state = LiveState(tmp_path, [TOGETHER, ISOLATED], clock)
    assert read(tmp_path)["stage"] == "Starting"
    state.on_round(report(0))
    assert read(tmp_path)["left_s"] is None
    clock.now += 10.0
    state.on_round(report(1))
    assert read(tmp_path)["left_s"] == pytest.approx(70.0)
    clock.now += 30.0
    state.on_round(report(4))
    state.on_round(report(2, ISOLATED))
    # Six of eight rounds took 40 s.
    assert read(tmp_path)["left_s"] == pytest.approx(40 / 6 * 2)
    assert read(tmp_path)["done"] == 6


def test_time_left_begins_anew_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    state = LiveState(tmp_path, [TOGETHER], clock)
    state.on_round(report(2))
    clock.now += 500.0
    state.on_restart(Restart(1, TOGETHER, 3, 2, (0,), "killed"))
    assert read(tmp_path)["stage"] == "replacing lost hosts"
    state.on_round(report(2))
    clock.now += 5.0
    state.on_round(report(3))
    assert read(tmp_path)["left_s"] == pytest.approx(5.0)


def test_edges_are_those_of_the_round_and_the_largest_of_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EDGES", 2)
    ledger = Ledger()
    for round, sender, receiver, size in [(1, 0, 1, 999), (2, 0, 1, 5), (2, 1, 0, 7), (2, 2, 0, 9)]:
        ledger.record(round, 0, sender, receiver, "metrics", size)
    ledger.record(2, 1, 0, 1, "metrics", 3)
    state = LiveState(tmp_path, [TOGETHER])
    state.on_traffic(TOGETHER, 2, ledger)
    state.on_phase(TOGETHER, 3, "training")
    found = read(tmp_path)
    assert found["edges"] == [[2, 0, 9], [0, 1, 8]]
    assert (found["edges_left_out"], found["round"], found["stage"]) == (1, 3, "training")


def test_full_disk_ends_the_live_state_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    state = LiveState(folder, [TOGETHER])
    state.close()
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        state.on_phase(TOGETHER, 1, "training")
        state.on_phase(TOGETHER, 1, "exchanging")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


class Spy(Listener):
    """Reads the live state at every event."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def on_stage(self, what: str) -> None:
        self.seen.append(("stage", read(self.folder)))

    def on_phase(self, arm: str, round: int, phase: str) -> None:
        self.seen.append((phase, read(self.folder)))

    def on_round(self, report: RoundReport) -> None:
        self.seen.append(("round", read(self.folder)))


def test_run_keeps_its_live_state_and_takes_it_away(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, no_report: None
) -> None:
    folder = tmp_path / "run"
    spy = Spy(folder)
    result = Simulation(small(), folder, spy, cache=cache).run()
    phases = [(state["arm"], state["round"], name) for name, state in spy.seen if "ing" in name]
    together = [(TOGETHER, 0, "evaluating")]
    for round in (1, 2):
        names = ("training", "monitoring", "exchanging")
        together += [(TOGETHER, round, name) for name in names]
    assert phases[:8] == [*together, (TOGETHER, 2, "evaluating")]
    ends = [state for name, state in spy.seen if name == "round"]
    sent = sum(size for *_, size in ends[1]["edges"])
    assert 0 < sent == ends[1]["total_bytes"]
    assert ends[2]["total_bytes"] == result.bytes.total
    assert ends[-1]["done"] == ends[-1]["total"] == 4
    assert not (folder / LIVE).exists()
    assert not list(folder.glob(f"*{os.getpid()}*"))
