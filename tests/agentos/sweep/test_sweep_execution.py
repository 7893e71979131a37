"""The execution of a sweep with stubs for runs: resumed, failed, killed and interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentos.sweep.config import validated
from agentos.sweep.execute import Folder, execute, jobs_for
from agentos.sweep.plan import Planned, plan
from agentos.sweep.rows import RESULTS, read_table
from agentos.sweep.worker_process import Processes
from protocols.errors import RecordError

STUB = """
import json, os, pathlib, sys, time
task = json.loads(sys.stdin.readline())
folder = pathlib.Path(task["folder"])
rounds, seed = task["config"]["training"]["rounds"], task["config"]["seed"]
with open(folder.parent / "begun", "a") as begun:
    print(seed, file=begun)
if (folder.parent / f"broken-{seed}").exists():
    print("out of luck", flush=True)
    os.kill(os.getpid(), 9)
if (folder.parent / f"endless-{seed}").exists():
    (folder.parent / f"pid-{seed}").write_text(str(os.getpid()))
    sys.stdin.read()
    sys.exit(130)
folder.mkdir(exist_ok=True)
row = {"status": "finished", "wall_s": 1.0, "rounds": rounds, "probe.mean": 0.5, "probe.agents": [0.5]}
if (folder.parent / f"failing-{seed}").exists():
    row = {"status": "failed", "error": "it could not be"}
(folder / "row.json").write_text(json.dumps(row))
"""


@pytest.fixture
def worker(tmp_path: Path) -> list[str]:
    stub = tmp_path / "stub.py"
    stub.write_text(STUB)
    # Isolated: without site-packages it starts at once.
    return [sys.executable, "-I", "-S", str(stub)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "sweep" / "runs").mkdir(parents=True)
    return tmp_path / "sweep"


def runs(seeds: int = 3, **arms: dict[str, Any]) -> list[Planned]:
    return plan(validated({"base": {}, "seeds": seeds, "arms": arms or {"only": {}}}, "-"))


def begun(out: Path) -> list[int]:
    path = out / "runs" / "begun"
    return sorted(map(int, path.read_text().split())) if path.exists() else []


@pytest.fixture
def go(out: Path, worker: list[str]) -> Callable[[Sequence[Planned]], Folder]:
    def run(planned: Sequence[Planned]) -> Folder:
        folder = Folder(out, planned)
        execute(folder, folder.unfinished, jobs=2, launcher=Processes(worker))
        return folder

    return run


def test_every_run_has_one_row(out: Path, go: Callable[..., Folder]) -> None:
    planned = runs(short={"training.rounds": 2}, long={"training.rounds": 3})
    go(planned)
    rows = read_table(out / RESULTS)
    assert [(row["id"], row["arm"], row["seed"]) for row in rows] == [
        (run.id, run.arm, run.seed) for run in planned
    ]
    assert {row["status"] for row in rows} == {"finished"}
    assert [row["rounds"] for row in rows] == [2, 3] * 3
    assert all((out / row["folder"]).is_dir() for row in rows)
    assert rows[0]["probe.agents"] == [0.5]


def test_finished_runs_are_not_done_again(out: Path, go: Callable[..., Folder]) -> None:
    go(runs(2))
    go(runs(4))
    assert begun(out) == [0, 1, 2, 3]
    go(runs(4))
    assert begun(out) == [0, 1, 2, 3]
    assert len(read_table(out / RESULTS)) == 4


def test_failed_run_is_recorded_and_tried_again(out: Path, go: Callable[..., Folder]) -> None:
    (out / "runs" / "failing-1").touch()
    folder = go(runs())
    assert [row["error"] for row in read_table(out / RESULTS)] == [None, "it could not be", None]
    assert [run.seed for run in folder.unfinished] == [1]
    (out / "runs" / "failing-1").unlink()
    go(runs())
    assert begun(out) == [0, 1, 1, 2]
    assert {row["status"] for row in read_table(out / RESULTS)} == {"finished"}


def test_killed_run_is_recorded_with_its_exit_code_and_log(
    out: Path, go: Callable[..., Folder]
) -> None:
    (out / "runs" / "broken-2").touch()
    go(runs())
    killed = read_table(out / RESULTS)[2]
    assert killed["status"] == "failed"
    assert "exit code -9" in killed["error"]
    assert "out of luck" in killed["error"]


def test_rows_of_runs_that_left_the_sweep_leave_the_table(
    out: Path, go: Callable[..., Folder]
) -> None:
    go(runs(1, old={"training.rounds": 5}))
    go(runs(1, new={"training.rounds": 6}))
    assert [row["arm"] for row in read_table(out / RESULTS)] == ["new"]
    go(runs(1, old={"training.rounds": 5}, new={"training.rounds": 6}))
    assert len(begun(out)) == 2


def test_renamed_arm_keeps_its_results(out: Path, go: Callable[..., Folder]) -> None:
    go(runs(1, old={"training.rounds": 5}))
    go(runs(1, better={"training.rounds": 5}))
    assert [row["arm"] for row in read_table(out / RESULTS)] == ["better"]
    assert len(begun(out)) == 1


def test_interrupt_keeps_finished_rows_and_leaves_no_process(
    out: Path, worker: list[str], tmp_path: Path
) -> None:
    (out / "runs" / "endless-2").touch()
    script = tmp_path / "sweep.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from agentos.sweep.config import validated\n"
        "from agentos.sweep.execute import Folder, execute\n"
        "from agentos.sweep.plan import plan\n"
        "from agentos.sweep.worker_process import Processes\n"
        "planned = plan(validated({'base': {}, 'seeds': 4, 'arms': {'only': {}}}, '-'))\n"
        f"folder = Folder(Path({str(out)!r}), planned)\n"
        "try:\n"
        f"    execute(folder, folder.unfinished, jobs=1, launcher=Processes({worker!r}))\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    # A shell may have started these tests with the signal ignored, and programs keep to that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sweep = subprocess.Popen(
            [sys.executable, script], env={**os.environ, "PYTHONPATH": os.getcwd()}
        )
    finally:
        signal.signal(signal.SIGINT, before)
    pid = out / "runs" / "pid-2"
    deadline = time.monotonic() + 240
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert [(row["seed"], row["status"]) for row in read_table(out / RESULTS)] == [
        (0, "finished"),
        (1, "finished"),
    ]
    assert begun(out) == [0, 1, 2]


def test_two_sweeps_in_one_folder_are_refused(out: Path, worker: list[str]) -> None:
    from filelock import FileLock

    folder = Folder(out, runs(1))
    with (
        FileLock(out / ".lock"),
        pytest.raises(RecordError, match="Another sweep"),
    ):
        execute(folder, folder.unfinished, jobs=1, launcher=Processes(worker))


def test_listeners_hear_of_every_run(out: Path, worker: list[str]) -> None:
    folder, heard = Folder(out, runs(2)), list[tuple[str, int]]()
    execute(
        folder,
        folder.unfinished,
        jobs=1,
        on_start=lambda run: heard.append(("start", run.seed)),
        on_end=lambda run, row: heard.append((row["status"], run.seed)),
        launcher=Processes(worker),
    )
    assert heard == [("start", 0), ("finished", 0), ("start", 1), ("finished", 1)]


def test_damaged_row_is_refused_with_its_file(out: Path) -> None:
    (run,) = runs(1)
    (out / "runs" / run.id).mkdir()
    (out / "runs" / run.id / "row.json").write_text("{")
    with pytest.raises(RecordError, match=r"row\.json is damaged"):
        Folder(out, [run])


def test_jobs_are_cores_over_threads() -> None:
    planned = runs(1, one={}, two={"runtime": {"kind": "local", "threads": 2}})
    assert [jobs_for(planned, cores) for cores in (1, 4, 9)] == [1, 2, 4]
