"""``agentos runs``: what it shows, what it removes, and what it leaves."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agentos.cli.main import app
from agentos.records.identity.folder_lock import alone_in
from agentos.records.recorder import Recorder
from protocols.errors import ConfigurationError, RecordError
from protocols.topologies import TOPOLOGIES

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*words: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, ["runs", *words], input=answer)

    return run


def make_run(folder: Path, status: str | None = None, started: str = "2026-01-01") -> Path:
    pair = TOPOLOGIES["ring"]().build(agents=2, seed=0)
    with Recorder(folder) as recorder:
        recorder.start(f"name: {folder.name}\ntraining: {{rounds: 4}}", pair, ["numpy", "torch"])
        recorder.round(2, [{"agent": 0, "loss": 0.5}, {"agent": 1, "loss": 0.25}])
        if status is not None:
            recorder.summary({"status": status, "rounds": 2, "mean": {}})
    environment = {"started": f"{started}T00:00:00+00:00"}
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "checkpoints" / "together-00001").mkdir(parents=True)
    (folder / "checkpoints" / "together-00001" / "state").write_bytes(b"0" * 1_000_000)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_list_shows_every_run_and_the_latest_last(call: Call, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "late[bold]", "finished", "2026-03-01")
    make_run(tmp_path / "runs" / "early", None, "2026-02-01")
    lines = call("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["early", "interrupted", "2/4"],
        ["late[bold]", "finished", "2/4"],
    ]
    assert "1.00 MB" in lines[1]


def test_json_of_list_and_show_is_data(call: Call, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "one")
    with alone_in(folder):
        (row,) = json.loads(call("list", "--json").stdout)
    assert (row["run"], row["status"], row["process"]) == ("runs/one", "running", os.getpid())
    shown = json.loads(call("show", "one", "--json").stdout)
    assert shown["status"] == "interrupted"
    assert shown.keys() == row.keys()
    assert "status     interrupted" in call("show", "one").stdout


def test_missing_folders_and_other_folders_are_errors_with_a_hint(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    for words in (["list"], ["show", "project"], ["rm", "project"], ["log", "x"], ["stop", "x"]):
        done = call(*words)
        assert isinstance(done.exception, RecordError), words
        assert done.exception.hint, words


def test_rm_asks_and_a_no_leaves_everything(call: Call, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "one")
    done = call("rm", "one", answer="n\n")
    assert "remove runs/one (1.00 MB)" in done.stdout
    assert folder.exists()
    assert call("rm", "one").exit_code == 1, "no answer is no"
    assert folder.exists()
    assert "removed runs/one" in call("rm", "one", answer="y\n").stdout
    assert not folder.exists()


def test_json_of_what_is_removed_needs_a_yes(call: Call, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "one")
    (folder / "notes.txt").touch()
    refused = call("rm", "one", "--json")
    assert isinstance(refused.exception, ConfigurationError)
    assert refused.exception.expected == "--yes"
    (removed,) = json.loads(call("rm", "one", "--json", "--yes").stdout)["removed"]
    assert (removed["run"], removed["kept"]) == ("runs/one", ["notes.txt"])
    assert removed["bytes"] > 1_000_000
    assert json.loads(call("prune", "--json", "--yes").stdout) == {"removed": []}


def test_rm_leaves_a_running_run_and_removes_the_others(call: Call, tmp_path: Path) -> None:
    busy, idle = make_run(tmp_path / "runs" / "busy"), make_run(tmp_path / "runs" / "idle")
    (idle / "notes.txt").touch()
    done: list[Result] = []
    with alone_in(busy):  # another thread, as one thread may take its lock twice
        thread = threading.Thread(target=lambda: done.append(call("rm", "busy", "idle", "--yes")))
        thread.start()
        thread.join()
    assert isinstance(done[0].exception, RecordError)
    assert "kept, as no run wrote it: notes.txt" in done[0].stdout
    assert names(idle) == ["notes.txt"]
    assert (busy / "config.yaml").exists()


def test_prune_removes_old_runs_that_did_not_finish(call: Call, tmp_path: Path) -> None:
    from datetime import datetime, timezone

    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    runs = tmp_path / "runs"
    make_run(runs / "old-failed", "failed")
    make_run(runs / "old-finished", "finished")
    make_run(runs / "new-failed", "failed", today)
    make_run(runs / "study" / "runs" / "killed")
    assert call("prune", "--older-than", "2", "--yes").exit_code == 0
    assert names(runs) == ["new-failed", "old-finished", "study"]
    assert names(runs / "study" / "runs") == []
    call("prune", "--yes")
    assert names(runs) == ["old-finished", "study"]
    assert "nothing to remove" in call("prune").stdout


def test_prune_of_checkpoints_keeps_runs_and_what_can_be_resumed(
    call: Call, tmp_path: Path
) -> None:
    finished = make_run(tmp_path / "runs" / "finished", "finished")
    failed = make_run(tmp_path / "runs" / "failed", "failed")
    call("prune", "--checkpoints", "--yes")
    assert not (finished / "checkpoints").exists()
    assert (finished / "metrics.jsonl").exists()
    assert (failed / "checkpoints").exists()
    assert "nothing to remove" in call("prune", "--checkpoints", "--yes").stdout


def test_log_prints_the_end_and_follow_ends_with_the_run(call: Call, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "one")
    done: Any = call("log", "one")
    assert isinstance(done.exception, RecordError)
    (folder / "run.log").write_text("".join(f"line {n} [red]\n" for n in range(9)))
    assert call("log", "one", "--lines", "2").stdout == "line 7 [red]\nline 8 [red]\n"
    assert call("log", "one", "--lines", "1", "--follow").stdout == "line 8 [red]\n"
    assert json.loads(call("log", "one", "--lines", "1", "--json").stdout) == {
        "line": "line 8 [red]"
    }


def test_stop_of_a_run_that_does_not_run_is_an_error(call: Call, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "one")
    done = call("stop", "one")
    assert isinstance(done.exception, RecordError)
    assert "nothing runs" in str(done.exception)
