"""The log of a run: stages, rounds, warnings and how it ended, and that it stays small and harmless."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.events import run_log as module
from agentos.events.following import followed
from agentos.events.run_log import RunLog
from agentos.records.layout import LOG, TOGETHER
from agentos.records.reports import RoundReport
from protocols.errors import TrainingError

logger = logging.getLogger("agentos.test")


def lines(folder: Path) -> list[str]:
    """Return the lines, without their times."""
    return [line.split(" ", 1)[1] for line in (folder / LOG).read_text("utf-8").splitlines()]


def test_progress_of_a_stage_is_one_line(tmp_path: Path) -> None:
    log = RunLog(tmp_path, clock=lambda: 0.0)
    for what in ("Reading text", "documents: 1,000", "documents: 2,000", "Starting hosts"):
        log.on_stage(what)
    assert lines(tmp_path)[1:] == ["Reading text", "documents", "Starting hosts"]
    assert (tmp_path / LOG).read_text("utf-8").startswith("1970-01-01T00:00:00Z begun in process ")


def test_warnings_are_lines_and_nothing_in_them_is_acted_upon(tmp_path: Path) -> None:
    with followed(tmp_path, [TOGETHER]) as listener:
        logger.warning("agent %s\nforged line \x1b[2J", "a")
        logger.info("not shown")
        metrics = {0: {"loss": 2.0}, 1: {"loss": 3.0}}
        listener.on_round(RoundReport(TOGETHER, 1, 4, metrics, {}, 1.5, 1234, faults={"drop": 2}))
    logger.warning("after its end")
    assert lines(tmp_path)[1:] == [
        "warning: agent a forged line \\x1b[2J",
        "together: round 1 of 4, 1.5 s, loss 2.5000, 1,234 bytes so far; faults: drop 2",
        "finished",
    ]


def test_log_of_a_flood_of_warnings_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 2_000)
    log = RunLog(tmp_path)
    for number in range(1_000):
        log.write(f"line {number}")
    assert (tmp_path / LOG).stat().st_size < 2_100
    assert (tmp_path / LOG).read_text("utf-8").endswith("the log ends here: it is full\n")


def test_log_goes_on_until_it_is_above_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(tmp_path)
    monkeypatch.setattr(module, "LARGEST_BYTES", (tmp_path / LOG).stat().st_size)
    for text in ("as large as it may be", "larger", "never"):
        log.write(text)
    full = (tmp_path / LOG).read_text("utf-8").splitlines()[1:]
    assert full[0].endswith("as large as it may be")
    assert full[1:] == ["the log ends here: it is full"]


def test_log_of_a_run_that_is_not_continued_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("before\n")

    def refused() -> None:
        with followed(tmp_path, [TOGETHER], continues=True) as listener:
            listener.on_stage("Reading text")
            raise TrainingError("its text has changed")

    with pytest.raises(TrainingError):
        refused()
    assert (tmp_path / LOG).read_text() == "before\n"
    with followed(tmp_path, [TOGETHER], continues=True) as listener:
        listener.on_stage("Reading text")
        listener.on_phase(TOGETHER, 3, "training")
        assert (tmp_path / LOG).read_text().endswith("Reading text\n")
    found = [
        line.split(" ", 1)[-1].split(" in ")[0]
        for line in (tmp_path / LOG).read_text().splitlines()
    ]
    assert found == ["before", "begun", "Reading text", "finished"]


def test_run_that_fails_says_why(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, no_report: None
) -> None:
    class Stops(Listener):
        def on_round(self, report: RoundReport) -> None:
            raise TrainingError("no use")

    with pytest.raises(TrainingError):
        Simulation(small(), tmp_path / "run", Stops(), cache=cache).run()
    assert lines(tmp_path / "run")[-1] == "ended by TrainingError: no use"


def test_run_that_cannot_begin_leaves_no_log(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    class Stops(Listener):
        def on_stage(self, what: str) -> None:
            raise TrainingError("no use")

    with pytest.raises(TrainingError):
        Simulation(small(), tmp_path / "run", Stops(), cache=cache).run()
    assert not (tmp_path / "run").exists()
