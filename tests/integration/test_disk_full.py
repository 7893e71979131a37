"""A disk without room: a clear error, readable records, and a run that goes on when there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentos import RunConfig, Simulation
from agentos.cli.main import app
from agentos.events import Listener
from agentos.records.reader import load_run
from agentos.records.reports import RoundReport
from agentos.rounds.resumption import resumption
from protocols.errors import RecordError

resource = pytest.importorskip("resource", reason="there is no limit to the size of files here")


@contextmanager
def no_file_beyond(size: int | None) -> Iterator[Callable[[int], None]]:
    """Let the operating system refuse to write beyond a size, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    try:
        if size is not None:
            limit(size)
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class FullAfter(Listener):
    """Leaves no room for files beyond a size, from the end of a round on."""

    def __init__(self, round: int, size: int, limit: Callable[[int], None]) -> None:
        self.round, self.size, self.limit = round, size, limit

    def on_round(self, report: RoundReport) -> None:
        if report.round == self.round:
            self.limit(self.size)


@pytest.fixture
def config(small: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        training = {"rounds": 3, "local_steps": 1, "batch_size": 12, "max_length": 16}
        evaluation = {"every": 3, "tasks": ["geometry"], "documents": 40, "between_agents": False}
        values = {"training": training, "evaluation": evaluation, "baseline": {"isolated": False}}
        return small(**values, **changes)

    return make


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Path]:
    """A run that had room enough."""
    return {}


@pytest.fixture
def through(
    config: Callable[..., RunConfig],
    undisturbed: dict[str, Path],
    cache: Path,
    no_report: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a run that had room enough."""
    if not undisturbed:
        undisturbed["run"] = tmp_path_factory.mktemp("undisturbed") / "run"
        Simulation(config(), undisturbed["run"], cache=cache).run()
    return undisturbed["run"]


@pytest.mark.parametrize(
    ("size", "every"),
    [
        pytest.param(3000, 0, id="no room for metrics"),
        pytest.param(100_000, 1, id="no room for checkpoints"),
    ],
)
def test_full_disk_ends_a_run_that_goes_on_when_there_is_room(
    size: int,
    every: int,
    config: Callable[..., RunConfig],
    through: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    changed = config(checkpoints={"every": every})
    out = tmp_path / "run"
    with no_file_beyond(None) as limit, pytest.raises(RecordError) as caught:
        Simulation(changed, out, FullAfter(1, size, limit), cache=cache).run()
    assert "cannot be written to" in caught.value.message
    assert caught.value.actual == "File too large"
    record = load_run(out)
    assert {row["round"] for row in record.metrics} >= {0, 1}
    Simulation(changed, out, cache=cache).run(resumption(out))
    for name in ("metrics.jsonl", "health.jsonl"):
        assert (out / name).read_bytes() == (through / name).read_bytes()


class InTheWay(Listener):
    """Puts a file where a folder is to be, at the end of a round: not even root can write there."""

    def __init__(self, round: int, path: Path) -> None:
        self.round, self.path = round, path

    def on_round(self, report: RoundReport) -> None:
        if report.round == self.round:
            self.path.write_text("in the way")


@pytest.mark.parametrize("name", ["checkpoints", "encoders"])
def test_folder_that_cannot_be_written_to_ends_a_run_that_goes_on_when_it_can(
    name: str,
    config: Callable[..., RunConfig],
    through: Path,
    cache: Path,
    tmp_path: Path,
    no_report: None,
) -> None:
    out = tmp_path / "run"
    changed = config(checkpoints={"every": 3})
    with pytest.raises(RecordError, match=f"cannot be written to {out}/{name}/") as caught:
        Simulation(changed, out, InTheWay(1, out / name), cache=cache).run()
    assert caught.value.actual == "Not a directory"
    record = load_run(out)
    assert record.summary is not None
    assert record.summary["status"] == "failed"
    assert {row["round"] for row in record.metrics} == {0, 1, 2, 3}
    (out / name).unlink()
    Simulation(changed, out, cache=cache).run(resumption(out))
    assert (out / "metrics.jsonl").read_bytes() == (through / "metrics.jsonl").read_bytes()


FULL_STORE = """
import gc, json, sys, time
from pathlib import Path

import numpy as np
import ray

from agentos import RunConfig, Simulation
from agentos.events import Listener
from protocols.errors import RuntimeFailure

class FillsTheStore(Listener):
    # With what is in use, which Ray cannot spill; again, for messages are let go in the background.

    def on_round(self, report):
        self.held = []
        for _ in range(2 if report.round == 2 else 0):
            gc.collect()
            time.sleep(1.0)
            try:
                while True:
                    self.held.append(ray.get(ray.put(np.zeros(2**18, np.uint8))))
            except ray.exceptions.RayError:
                pass

path, out, cache = map(Path, sys.argv[1:])
config = RunConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
try:
    Simulation(config, out, FillsTheStore(), cache=cache).run()
except RuntimeFailure as error:
    print(json.dumps([error.message, error.hint]))
"""


@pytest.mark.slow
@pytest.mark.own_ray
def test_full_object_store_ends_a_run_that_goes_on_where_there_is_room(
    config: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    no_report: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed = config(exchange="fedavg", checkpoints={"every": 1})
    Simulation(changed, tmp_path / "local", cache=cache).run()
    out = tmp_path / "run"
    runtime = {"kind": "ray", "hosts": 1, "object_store_mb": 80}
    values = {**changed.resolved(), "runtime": runtime}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", FULL_STORE, tmp_path / "config.json", out, cache],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        # Ray takes a disk for full that is filled to a hundredth.
        env={**os.environ, "RAY_local_fs_capacity_threshold": "0.01"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    message, hint = json.loads(done.stdout.splitlines()[-1])
    assert "object store is full: host" in message
    assert "compose" in message
    assert "'agentos resume DIR runtime.object_store_mb=...'" in hint
    record = load_run(out)
    assert record.summary is not None
    assert (record.summary["status"], record.summary["rounds"]) == ("failed", 2)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    again = CliRunner().invoke(app, ["resume", str(out), "runtime.kind=local"])
    assert again.exit_code == 0, again.output
    assert (out / "metrics.jsonl").read_bytes() == (tmp_path / "local/metrics.jsonl").read_bytes()
