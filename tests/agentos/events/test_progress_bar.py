"""The bar of `Simulation.run(progress=True)`: where a run is, and nothing without a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from agentos.events.progress_bar import ProgressBar
from agentos.records.reports import Restart, RoundReport


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_on(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    """Let a stream be standard error; not in a fixture, after which pytest sets its own."""
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def report(arm: str, round: int) -> RoundReport:
    metrics = {0: {"loss": 2.0}, 1: {"loss": 4.0}} if round else {0: {}}
    return RoundReport(arm, round, 4, metrics, {}, 0.1, total_bytes=2_500_000)


def test_bar_counts_the_rounds_of_all_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = shown_on(monkeypatch, Terminal())
    bar = ProgressBar(4, ["together", "isolated"])
    bar.on_stage("Tokenising")
    assert "Tokenising" in terminal.getvalue()
    for arm, round, done in (("together", 0, 0), ("together", 3, 3), ("isolated", 1, 5)):
        bar.on_round(report(arm, round))
        last = terminal.getvalue().split("\r")[-1]
        assert f"{arm}:" in last
        assert f"{done}/8" in last
    assert "loss=3.000" in last
    assert "MB=2.5" in last
    bar.close()


def test_bar_goes_back_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = shown_on(monkeypatch, Terminal())
    bar = ProgressBar(4, ["together"])
    bar.on_round(report("together", 3))
    bar.on_restart(Restart(1, "together", 3, 1, (0,), "lost"))
    assert "1/4" in terminal.getvalue().split("\r")[-1]
    bar.close()


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = shown_on(monkeypatch, io.StringIO())
    bar: Any = ProgressBar(4, ["together"])
    bar.on_stage("Tokenising")
    bar.on_round(report("together", 1))
    bar.close()
    assert shown.getvalue() == ""
