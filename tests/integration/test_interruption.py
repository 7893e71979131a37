"""Ctrl-C, failures and ``kill -9`` in mid-run: everything ends, and what was recorded is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import PrivateAttr
from typer.testing import CliRunner

from agentos import RunConfig, Simulation
from agentos.cli.main import app
from agentos.data.corpus import Corpus
from agentos.events import Listener
from agentos.records.reader import load_run
from agentos.records.reports import RoundReport
from agentos.rounds.resumption import resumption
from agentos.runtime import Session
from agentos.runtime.local import LocalRuntime
from agents.training.blueprint import Blueprint
from protocols.errors import TrainingError

MARK = "AGENTOS_TEST_MARK"
LIGHT = {"every": 8, "tasks": ["geometry"], "documents": 40, "between_agents": False}
"""Evaluation for which a host imports nothing more."""


class StopsAt(Listener):
    """Raises after a round of an arm."""

    def __init__(self, round: int, error: type[BaseException], arm: str = "together") -> None:
        self.at, self.error = (arm, round), error

    def on_round(self, report: RoundReport) -> None:
        if (report.arm, report.round) == self.at:
            raise self.error("stopped by the test")


class Watched(LocalRuntime):
    """Says which sessions were closed."""

    kind: Literal["local"] = "local"
    _closed: list[Session] = PrivateAttr(default_factory=list)

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        session = super().start(blueprint, address)
        close, closed = session.close, self._closed

        def told() -> None:
            closed.append(session)
            close()

        session.close = told  # type: ignore[method-assign]
        return session


STOPPED = [(KeyboardInterrupt, "interrupted"), (TrainingError, "failed")]


@pytest.mark.parametrize(("error", "status"), STOPPED)
def test_records_of_finished_rounds_are_kept(
    error: type[BaseException],
    status: str,
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
) -> None:
    runtime = Watched()
    config = small().model_copy(update={"runtime": runtime})
    with pytest.raises(error, match="stopped by the test"):
        Simulation(config, tmp_path / "run", StopsAt(1, error), cache=cache).run()
    assert runtime._closed
    record = load_run(tmp_path / "run")
    assert {row["round"] for row in record.metrics} == {0, 1}
    assert record.summary is not None
    assert record.summary["status"] == status
    assert record.summary["rounds"] == 1
    assert record.ledger is not None
    assert record.summary["bytes"]["total"] == record.ledger.total() > 0
    assert status in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(("error", "status"), STOPPED)
def test_baseline_that_was_cut_short_is_no_comparison(
    error: type[BaseException],
    status: str,
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        Simulation(small(), tmp_path / "run", StopsAt(1, error, arm="isolated"), cache=cache).run()
    record = load_run(tmp_path / "run")
    assert record.summary is not None
    assert (record.summary["status"], record.summary["rounds"]) == (status, 2)
    assert record.summary["mean"] != record.summary["before"]["mean"]
    assert "isolated" not in record.summary
    assert {row["round"] for row in record.isolated or []} == {0, 1}
    assert (tmp_path / "run" / "encoders" / "agent-3" / "model.safetensors").is_file()
    assert "Working together" not in (tmp_path / "run" / "report.html").read_text("utf-8")


class Impatient(Listener):
    """Interrupts the preparation."""

    def on_corpus(self, corpus: Corpus) -> None:
        raise KeyboardInterrupt


def test_interruption_before_training_leaves_no_folder(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Simulation(small(), tmp_path / "run", Impatient(), cache=cache).run()
    assert not (tmp_path / "run").exists()


def marked(mark: str) -> dict[int, str]:
    """Find the processes whose environment holds a mark, and their names; zombies aside."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes() and state != "Z":
                found[int(process.name)] = (
                    (process / "cmdline").read_bytes().decode("utf-8", "replace")
                )
        except OSError:
            continue
    return found


@dataclass(frozen=True)
class Command:
    """A run on a Ray host, in progress in its own process."""

    process: subprocess.Popen[bytes]
    log: Path
    mark: str
    out: Path
    spill: Path

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8")

    def end(self) -> int:
        """Wait for its end and for that of all it started; return the exit code."""
        code = self.process.wait(180)
        wait_for(lambda: not marked(self.mark), 30)
        assert marked(self.mark) == {}
        return code


Begin = Callable[..., Command]


@pytest.fixture
def begin(small: Callable[..., RunConfig], cache: Path, tmp_path: Path) -> Iterator[Begin]:
    """Begin a run of so many rounds, and wait until one is over."""
    begun: list[Command] = []

    def start(config: RunConfig) -> Command:
        spill = tmp_path / "spill"
        spill.mkdir()
        runtime = {"kind": "ray", "hosts": 1, "spill_folder": str(spill)}
        values = {**config.resolved(), "runtime": runtime}
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(values), "utf-8")
        log, mark = tmp_path / "log", f"{os.getpid()}-{time.time_ns()}"
        with log.open("w") as stream:
            # A group of its own: a terminal sends Ctrl-C to all of a command's processes at once.
            process = subprocess.Popen(
                [sys.executable, "-m", "agentos.cli", "run", "run.yaml", "--out", "out"],
                cwd=tmp_path,
                env={**os.environ, MARK: mark, "AGENTOS_CACHE": str(cache), "COLUMNS": "200"},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A shell that runs tests in the background lets them, and all they start, ignore Ctrl-C.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )
        under_way = Command(process, log, mark, tmp_path / "out", spill)
        begun.append(under_way)
        first = f"round 1/{config.training.rounds}"
        wait_for(lambda: first in under_way.said or process.poll() is not None, 240)
        assert process.poll() is None, under_way.said
        assert sum("ray::Host" in name for name in marked(mark).values()) == 1
        return under_way

    yield start
    for command in begun:
        command.process.kill()
        for pid in marked(command.mark):
            os.kill(pid, signal.SIGKILL)


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="processes are found in /proc"
)


@pytest.mark.slow
@pytest.mark.own_ray
@needs_proc
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="ctrl-c"),
        # Ray's processes end by this one, too.
        pytest.param(signal.SIGHUP, id="terminal closed"),
    ],
)
def test_signal_ends_every_process_and_keeps_the_records(
    number: signal.Signals,
    begin: Begin,
    small: Callable[..., RunConfig],
) -> None:
    training = {"rounds": 500, "local_steps": 2, "batch_size": 12, "max_length": 16}
    # A shell may have started these tests with the signal ignored, as nohup does, and programs keep to that.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        command = begin(small(training=training, evaluation=LIGHT))
    finally:
        signal.signal(number, before)
    began = time.monotonic()
    os.killpg(command.process.pid, number)
    assert command.end() == 128 + number, command.said
    assert time.monotonic() - began < 180
    assert list(command.spill.iterdir()) == []
    assert "Traceback" not in command.said
    assert f"interrupted by {number.name}; records: out" in command.said
    assert "'agentos resume out' continues the run" in command.said
    lines = (command.out / "metrics.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["round"] for line in lines} >= {0, 1}
    assert json.loads((command.out / "summary.json").read_text("utf-8"))["status"] == "interrupted"
    assert (command.out / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.own_ray
@needs_proc
def test_death_of_ray_is_reported_at_once_and_leaves_a_run_that_goes_on(
    begin: Begin, small: Callable[..., RunConfig]
) -> None:
    """The control service is killed: actors go on answering for a minute then."""
    part = "gcs_server"
    training = {"rounds": 500, "local_steps": 2, "batch_size": 12, "max_length": 16}
    command = begin(small(training=training, evaluation=LIGHT, checkpoints={"every": 1}))
    (pid,) = (pid for pid, name in marked(command.mark).items() if part in name.split("\0")[0])
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert command.process.wait(180) == 1, command.said
    assert time.monotonic() - began < 120  # with the report; without a check it was ten minutes
    wait_for(lambda: names(command) <= WATCHERS, WITHIN_S)
    assert names(command) <= WATCHERS
    assert "Traceback" not in command.said
    assert "error Ray died while hosts were to" in command.said
    assert f"{part} ended" in command.said
    assert "'agentos resume' continues the run" in command.said
    assert json.loads((command.out / "summary.json").read_text("utf-8"))["status"] == "failed"
    assert resumption(command.out).last_round("together") >= 1


WATCHERS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Processes of Ray's own that look for its server for a minute (RAY_gcs_server_request_timeout_seconds)."""
WITHIN_S = 30.0


@pytest.mark.slow
@pytest.mark.own_ray
@needs_proc
def test_kill_9_of_the_driver_leaves_nothing_running_and_a_run_that_goes_on(
    begin: Begin,
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    no_report: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = small(
        training={"rounds": 8, "local_steps": 6, "batch_size": 12, "max_length": 16},
        evaluation=LIGHT,
        baseline={"isolated": False},
        checkpoints={"every": 2},
        saved_encoders=1,
    )
    command = begin(config)
    (spilled,) = command.spill.iterdir()
    (spilled / "object").write_bytes(b"a message that did not fit")
    wait_for(lambda: last_round(command.out) >= 3, 60)
    wait_for(lambda: "ray::HostActor.run" in names(command), 60, every_s=0.0)
    command.process.kill()
    command.process.wait()
    killed_in = last_round(command.out) + 1
    assert 4 <= killed_in < 8
    wait_for(lambda: names(command) <= WATCHERS, WITHIN_S)
    assert names(command) <= WATCHERS
    assert list(command.spill.iterdir()) == []
    assert list(Path("/dev/shm").glob("plasma*")) == []
    assert resumption(command.out).last_round("together") in (killed_in - 1, killed_in - 2)

    Simulation(config, tmp_path / "through", cache=cache).run()
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    done = CliRunner().invoke(app, ["resume", str(command.out), "runtime.kind=local"])
    assert done.exit_code == 0, done.output
    for name in ("metrics.jsonl", "health.jsonl", "encoders/agent-0/model.safetensors"):
        assert (command.out / name).read_bytes() == (tmp_path / "through" / name).read_bytes()


def last_round(directory: Path) -> int:
    """Return the last round that a run has recorded; -1 before the first."""
    path = directory / "metrics.jsonl"
    text = path.read_text("utf-8") if path.exists() else ""
    return max((json.loads(line)["round"] for line in text.split("\n")[:-1]), default=-1)


def names(command: Command) -> set[str]:
    """Return the names of a command's processes."""
    return {name.strip("\0").split("\0")[0] for name in marked(command.mark).values()}


def wait_for(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.2) -> None:
    """Wait until a condition holds, or the time is over."""
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(every_s)
