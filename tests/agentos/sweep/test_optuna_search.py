"""A search by Optuna: with stubs for runs, pruned, resumed, and refused where it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from agentos.config.field_errors import InvalidConfiguration
from agentos.sweep.config import SweepConfig, validated
from agentos.sweep.optuna_search import Search, evaluated
from agentos.sweep.rows import RESULTS, read_table
from agentos.sweep.worker_process import Processes
from protocols.errors import ConfigurationError

STUB = """
import json, pathlib, sys, time
task = json.loads(sys.stdin.readline())
folder, config = pathlib.Path(task["folder"]), task["config"]
folder.mkdir(parents=True, exist_ok=True)
with open(folder.parent / "begun", "a") as begun:
    print(config["exchange"]["weight"], file=begun)
if (folder.parent / "broken").exists():
    sys.exit(3)
value = -abs(config["exchange"]["weight"] - 0.75) + 0.01 * config["seed"]
with open(folder / "metrics.jsonl", "w") as metrics:
    print(json.dumps({"round": 1, "agent": "agent-0", "mrr": value}), file=metrics)
if value < -0.5:
    sys.stdin.read()  # until it is stopped
    sys.exit(130)
row = {"status": "finished", "mrr.mean": value, "payload_bytes": 1, "flops": 1}
(folder / "row.json").write_text(json.dumps(row))
"""
optuna = pytest.importorskip("optuna")


@pytest.fixture
def worker(tmp_path: Path) -> list[str]:
    (tmp_path / "stub.py").write_text(STUB)
    return [sys.executable, "-I", "-S", str(tmp_path / "stub.py")]


def sweep(seeds: int = 2, **search: Any) -> SweepConfig:
    space = {"exchange.weight": {"low": 0.25, "high": 3.0}}
    base = {"exchange": "anchor_contrast", "evaluation": {"tasks": ["geometry", "retrieval"]}}
    return validated({"base": base, "seeds": seeds, "search": {"space": space, **search}}, "-")


def begun(folder: Path) -> list[float]:
    return [float(line) for line in (folder / "runs" / "begun").read_text().split()]


def test_search_finds_the_best_and_prunes_what_is_worse_than_the_median(
    tmp_path: Path, worker: list[str]
) -> None:
    search = Search(tmp_path / "out", sweep(trials=9, startup=3, sampler="random"))
    assert search.metric.name == "mrr"  # the first that is an outcome
    # Trials before the pruner judges must end by themselves.
    study = search._study()
    for weight in (0.7, 0.6, 0.8):
        study.enqueue_trial({"exchange.weight": weight})
    study.enqueue_trial({"exchange.weight": 2.9})
    found = search.run(jobs=1, launcher=Processes(worker))
    assert found.trials == 9
    assert found.pruned >= 1
    assert found.failed == 0
    assert found.best is not None
    name, fields, value = found.best
    assert value == pytest.approx(-abs(fields["exchange.weight"] - 0.75) + 0.005)
    rows = read_table(tmp_path / "out" / RESULTS)
    assert {row["status"] for row in rows} == {"finished", "stopped"}
    tried = {row["arm"]: row["mrr.mean"] for row in rows if row["seed"] == 0 and row["mrr.mean"]}
    assert max(tried, key=lambda arm: tried[arm]) == name
    # The second seed of a pruned trial never begins.
    assert begun(tmp_path / "out").count(2.9) == 1


def test_search_goes_on_with_the_trial_that_was_cut_off(tmp_path: Path, worker: list[str]) -> None:
    out = tmp_path / "out"
    config = sweep(trials=2, seeds=1, prune=False)
    config = config.model_copy(
        update={
            "search": config.search.model_copy(update={"space": {"exchange.weight": (0.5, 0.7)}})
        }  # type: ignore[union-attr]
    )
    first = Search(out, config)
    trial = first._study().ask()
    trial.suggest_categorical("exchange.weight", [0.5, 0.7])
    found = Search(out, config).run(jobs=1, launcher=Processes(worker))
    assert begun(out)[0] == trial.params["exchange.weight"]
    assert found.trials == 2  # the one that was cut off included
    before = begun(out)
    again = Search(out, config).run(jobs=1, launcher=Processes(worker))
    assert (begun(out), again.best) == (before, found.best)


def test_trial_whose_run_fails_fails_and_the_search_goes_on(
    tmp_path: Path, worker: list[str]
) -> None:
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "runs" / "broken").touch()
    found = Search(tmp_path / "out", sweep(trials=2)).run(jobs=1, launcher=Processes(worker))
    assert (found.trials, found.failed, found.best) == (2, 2, None)


def test_half_written_lines_are_no_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"round": 2, "mrr": 0.5}\n{"round": 2, "mrr": 0.75}\n{"round": 3}\n{"round": 4, "mrr'
    )
    assert evaluated(path, "mrr") == {2: 0.625}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"arms": {"a": {}}}, "takes the place of arms"),
        ({"search": {"space": {"seed": [1]}}}, "cannot be searched"),
        ({"search": {"space": {"exchange.weight": {"low": 3, "high": 1}}}}, "must be below"),
        ({"search": {"space": {"exchange.weight": {"low": 3, "high": 3}}}}, "must be below"),
        ({"search": None}, "at least one arm"),
    ],
)
def test_searches_that_cannot_be_are_refused(raw: dict[str, Any], says: str) -> None:
    fields = {"base": {}, "search": {"space": {"exchange.weight": [1.0]}}, **raw}
    with pytest.raises(InvalidConfiguration, match=says):
        validated(fields, "-")


def test_missing_metric_and_missing_package_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="measured by no task"):
        Search(tmp_path, sweep(metric="beauty"))
    monkeypatch.setattr("agentos.sweep.optuna_search.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"llm-agentos\[optuna\]"):
        Search(tmp_path, sweep())
