"""Runs at a glance: their status, and answers about folders that hold anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentos.evaluation.base import Metric
from agentos.records.identity.folder_lock import alone_in
from agentos.records.recorder import Recorder
from agentos.records.views import run_overview as module
from agentos.records.views.run_overview import find_runs, overview
from protocols.topologies import TOPOLOGIES

CONFIG = """
name: small
topology: {kind: ring}
exchange: {kind: fedavg}
training: {rounds: 8}
"""
MRR = Metric(name="mrr", higher_is_better=True, help="Rank.")
HIT = Metric(name="hit", higher_is_better=True, help="Hit.", percent=True)


def make_run(folder: Path, summary: dict[str, Any] | None = None) -> Path:
    pair = TOPOLOGIES["ring"]().build(agents=2, seed=0)
    with Recorder(folder) as recorder:
        recorder.start(CONFIG, pair, ["numpy", "torch"], [MRR, HIT])
        for round in range(3):
            values = {"hit": 0.25 * round} if round < 2 else {"loss": 1.0}
            recorder.round(round, [{"agent": agent, **values} for agent in range(2)])
        if summary is not None:
            recorder.summary(summary)
    return folder


def test_runs_are_found_with_those_of_sweeps_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in ("b", "a", "study/runs/ring-0", "one/two/three/four"):
        make_run(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / ".starting").touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_runs(tmp_path)]
    assert found == ["a", "b", "started", "study/runs/ring-0"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]
    assert find_runs(tmp_path / "missing") == []


def test_runs_are_listed_up_to_a_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RUNS", 2)
    for name in "abc":
        make_run(tmp_path / name)
    assert len(find_runs(tmp_path)) == 2


def test_killed_run_is_interrupted_with_the_round_and_result_of_its_metrics(tmp_path: Path) -> None:
    found = overview(make_run(tmp_path / "run"))
    assert (found.status, found.round, found.rounds, found.agents) == ("interrupted", 2, 8, 2)
    assert (found.metric, found.value, found.percent) == ("hit", 0.25, True)
    assert (found.name, found.topology, found.exchange) == ("small", "ring", "fedavg")
    assert found.size_bytes == sum(
        path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed"])
def test_status_is_the_one_of_the_summary(tmp_path: Path, status: str) -> None:
    summary = {"status": status, "rounds": 5, "mean": {"hit": 0.75}}
    found = overview(make_run(tmp_path / "run", summary))
    assert (found.status, found.round, found.value, found.problem) == (status, 5, 0.75, None)


def test_running_run_has_the_progress_of_its_live_state(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", {"status": "failed", "mean": {"hit": 0.75}})
    live = {"arm": "isolated", "finished": 4, "rounds": 8, "left_s": 12.5}
    (folder / ".live.json").write_text(json.dumps(live))
    with alone_in(folder):
        found = overview(folder)
    assert found.holder is not None
    assert found.holder.process == os.getpid()
    assert (found.status, found.arm, found.round, found.left_s) == ("running", "isolated", 4, 12.5)
    assert found.value == 0.25
    assert overview(folder).status == "failed"


def test_run_that_has_only_started_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".starting").touch()
    found = overview(tmp_path)
    assert (found.status, found.round, found.metric) == ("interrupted", None, None)


TAMPERED = [
    ("summary.json", '{"status": "excellent"}'),
    ("summary.json", "[1]"),
    ("summary.json", "{"),
    ("network.json", "[" * 100_000),
    ("config.yaml", "name: [1"),
    ("config.yaml", "- 1"),
    ("evaluation.json", '{"metrics": [1]}'),
    ("metrics.jsonl", "[1]\n"),
    ("metrics.jsonl", '{"round": "one"}\n'),
    ("metrics.jsonl", "\x00\n"),
]


@pytest.mark.parametrize(("name", "text"), TAMPERED)
def test_damaged_records_are_a_status_and_no_error(tmp_path: Path, name: str, text: str) -> None:
    folder = make_run(tmp_path / "run")
    (folder / name).write_text(text)
    found = overview(folder)
    assert found.status == "damaged"
    assert found.problem
    assert found.size_bytes > 0


def test_odd_values_are_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", {"status": "finished", "rounds": -3, "mean": {"hit": "x"}})
    (folder / "environment.json").write_text('{"started": "yesterday"}')
    (folder / "network.json").write_text('{"agents": true}')
    (folder / "config.yaml").write_text('name: "a\\u001b[2J"')
    found = overview(folder)
    assert (found.round, found.value, found.agents, found.rounds) == (None, None, None, None)
    assert found.name == "a\\x1b[2J"
    assert found.started == pytest.approx(folder.stat().st_mtime)


def test_large_files_pipes_and_links_are_not_read(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "summary.json").symlink_to("/etc/passwd")
    assert overview(folder).status == "damaged"
    (folder / "summary.json").unlink()
    os.mkfifo(folder / "summary.json")
    assert overview(folder).status == "interrupted"
    with (folder / "environment.json").open("wb") as file:
        file.truncate(10**10)
    assert overview(folder).status == "damaged"
