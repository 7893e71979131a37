"""Runs of a sweep as tasks of Ray: the same rows as in processes, cancelled, repeated and refused."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentos.runtime.interruption import Interrupted
from agentos.sweep.config import LauncherConfig, validated
from agentos.sweep.execute import Folder, execute, launched
from agentos.sweep.node_run import run_on_node
from agentos.sweep.plan import Planned, plan
from agentos.sweep.ray_tasks import RayTasks
from agentos.sweep.rows import RESULTS, read_table
from agentos.sweep.worker import run
from protocols.errors import ConfigurationError, RecordError

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

STUB = """
import json, os, pathlib, sys
task = json.loads(sys.stdin.readline())
folder = pathlib.Path(task["folder"])
(folder.parent / f"pid-{task['config']['seed']}").write_text(str(os.getpid()))
if (folder.parent / "endless").exists():
    sys.stdin.read()
    sys.exit(130)
folder.mkdir(exist_ok=True)
(folder / "row.json").write_text('{"status": "finished", "wall_s": 1.0}')
"""


def runs(base: dict[str, Any], seeds: int = 1) -> list[Planned]:
    return plan(validated({"base": base, "seeds": seeds, "arms": {"only": {}}}, "-"))


@pytest.fixture
def stubs(tmp_path: Path) -> RayTasks:
    (tmp_path / "stub.py").write_text(STUB)
    return RayTasks(1.0, 0.0, worker=[sys.executable, "-I", "-S", str(tmp_path / "stub.py")])


def test_a_task_of_ray_leaves_the_row_of_a_process(
    small_values: dict[str, Any], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    (planned,) = runs({**small_values, "baseline": {"isolated": False}})
    folder = Folder(tmp_path / "sweep", [planned])
    with launched(LauncherConfig(kind="ray"), [planned]) as (tasks, room):
        assert room == 12
        execute(folder, folder.unfinished, jobs=room, launcher=tasks)
    assert folder.unfinished == []
    (row,) = read_table(tmp_path / "sweep" / RESULTS)
    own = run(planned.config, tmp_path / "own", keep=False)
    assert {name: row[name] for name in own if name != "wall_s"} == {
        name: value for name, value in own.items() if name != "wall_s"
    }


def test_an_interrupt_ends_the_tasks_and_the_same_sweep_goes_on(
    tmp_path: Path, stubs: RayTasks
) -> None:
    planned = runs({}, seeds=2)
    out = tmp_path / "sweep"
    (out / "runs").mkdir(parents=True)
    (out / "runs" / "endless").touch()
    pids = [out / "runs" / f"pid-{seed}" for seed in (0, 1)]

    def interrupt(_: Planned) -> bool:
        if all(pid.exists() and pid.read_text() for pid in pids):
            raise Interrupted(2)
        return False

    folder = Folder(out, planned)
    with pytest.raises(Interrupted):
        execute(folder, planned, jobs=2, launcher=stubs, stops=interrupt)
    for pid in pids:
        with contextlib.suppress(
            psutil.NoSuchProcess
        ):  # already; a process that stays is a time-out
            psutil.Process(int(pid.read_text())).wait(timeout=20)
    assert len(folder.unfinished) == 2
    (out / "runs" / "endless").unlink()
    execute(folder, folder.unfinished, jobs=2, launcher=stubs)
    assert [row["status"] for row in read_table(out / RESULTS)] == ["finished"] * 2


def test_what_a_cluster_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no node of the cluster can hold a run"):
        RayTasks(1.0, 0.5)
    with (
        pytest.raises(ConfigurationError, match="add --launcher ray"),
        launched(LauncherConfig(), runs({}), address="auto"),
    ):
        pass


def test_a_folder_that_the_node_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="choose a folder with --out that all nodes share"):
        run_on_node({"folder": "x"}, str(tmp_path / "elsewhere" / "run.log"), "row.json")
