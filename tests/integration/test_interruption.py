"""Ctrl-C and failures in mid-run: everything ends, and what was recorded is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos import RunConfig, Simulation
from agentos.coordinator import RoundReport
from agentos.events import Listener
from agentos.records import load_run
from protocols.errors import TrainingError

MARK = "AGENTOS_TEST_MARK"


class StopsAt(Listener):
    """Raises after a round of the run itself."""

    def __init__(self, round: int, error: type[BaseException]) -> None:
        self.round, self.error = round, error

    def on_round(self, report: RoundReport) -> None:
        if report.round == self.round:
            raise self.error("stopped by the test")


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "interrupted"), (TrainingError, "failed")]
)
def test_records_of_finished_rounds_are_kept(
    error: type[BaseException],
    status: str,
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match="stopped by the test"):
        Simulation(small(), tmp_path / "run", StopsAt(1, error), cache=cache).run()
    record = load_run(tmp_path / "run")
    assert {row["round"] for row in record.metrics} == {0, 1}
    assert record.summary is not None
    assert record.summary["status"] == status
    assert record.summary["rounds"] == 1
    assert record.summary["bytes"]["total"] == record.ledger.total() > 0
    assert status in (tmp_path / "run" / "report.html").read_text("utf-8")


def marked(mark: str) -> list[int]:
    """Find the processes whose environment holds a mark, zombies aside."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes() and state != "Z":
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_ctrl_c_ends_every_process_and_keeps_the_records(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    values: dict[str, Any] = small().resolved()
    values["runtime"] = {"kind": "ray", "hosts": 2}
    values["training"]["rounds"] = 500
    values["evaluation"]["every"] = 500
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values), "utf-8")
    mark = f"{os.getpid()}-{time.time_ns()}"
    log = tmp_path / "log"
    with log.open("w") as stream:
        # A group of its own: a terminal sends Ctrl-C to all of a command's processes at once.
        process = subprocess.Popen(
            [sys.executable, "-m", "agentos.cli", "run", "run.yaml", "--out", "out"],
            cwd=tmp_path,
            env={**os.environ, MARK: mark, "AGENTOS_CACHE": str(cache)},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: "round 1/500" in log.read_text() or process.poll() is not None, 240)
            assert process.poll() is None, log.read_text()
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(60) == 130, log.read_text()
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()
    assert "interrupted" in log.read_text()
    wait_for(lambda: not marked(mark), 30)
    assert marked(mark) == []
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert {json.loads(line)["round"] for line in lines} >= {0, 1}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "interrupted"
    assert (tmp_path / "out" / "report.html").is_file()


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait until a condition holds, or the time is over."""
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
