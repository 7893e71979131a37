"""Run folders as tables: the numbers are those of the files, and rows say whose they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import yaml

import agentos
from protocols.errors import RecordError


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def two(finished: Any, tmp_path: Path) -> list[Path]:
    """The finished run, and a copy of it that says it was another."""
    changed = tmp_path / "changed"
    shutil.copytree(finished.directory, changed)
    config = yaml.safe_load((changed / "config.yaml").read_text())
    config["topology"]["hops"], config["seed"] = 2, 7
    (changed / "config.yaml").write_text(yaml.safe_dump(config))
    return [finished.directory, changed]


def test_metrics_hold_every_line_of_both_arms(finished: Any) -> None:
    table = agentos.load_run(finished.directory).metrics
    together = lines(finished.directory / "metrics.jsonl")
    alone = lines(finished.directory / "isolated/metrics.jsonl")
    assert list(table["arm"]) == ["together"] * len(together) + ["isolated"] * len(alone)
    for row, line in zip(table.to_dict("records"), [*together, *alone], strict=True):
        assert row["agent"] == int(line["agent"].removeprefix("agent-"))
        assert {name: row[name] for name in line if name != "agent"} == {
            name: value for name, value in line.items() if name != "agent"
        }


def test_rounds_sum_counts_and_average_the_rest(finished: Any) -> None:
    run = agentos.load_run(finished.directory)
    for row in run.rounds.to_dict("records"):
        path = finished.directory / ("" if row["arm"] == "together" else row["arm"])
        of_round = [r for r in lines(path / "metrics.jsonl") if r["round"] == row["round"]]
        assert np.isnan(row["tokens"]) == (row["round"] == 0)
        if row["round"]:
            assert row["tokens"] == sum(r["tokens"] for r in of_round)
            assert row["loss"] == pytest.approx(np.mean([r["loss"] for r in of_round]))


def test_agents_hold_the_last_evaluation_of_every_arm(finished: Any) -> None:
    run = agentos.load_run(finished.directory)
    table = run.agents.set_index(["arm", "agent"])
    assert run.summary is not None
    parts = {"together": run.summary, "untrained": run.summary["before"]}
    for arm, part in {**parts, "isolated": run.summary["isolated"]}.items():
        for agent, values in part["agents"].items():
            found = table.loc[(arm, int(agent.removeprefix("agent-")))]
            assert found[list(values)].to_dict() == pytest.approx(values)
    assert list(table["role"].unique()) == ["peer"]


def test_result_and_folder_give_the_same_numbers(finished: Any) -> None:
    read = agentos.load_run(finished.directory).agents.drop(columns=["name", "role", "level"])
    given = finished.result.to_pandas()
    assert read[list(given.columns)].equals(given)


def test_ledger_holds_every_delivery(finished: Any) -> None:
    written = pyarrow.parquet.read_table(finished.directory / "ledger.parquet").to_pandas()
    read = agentos.load_run(finished.directory).ledger
    assert read.astype(object).equals(written.astype(object))


def test_a_ledger_that_was_never_written_is_an_error(two: list[Path]) -> None:
    (two[1] / "ledger.parquet").unlink()
    with pytest.raises(RecordError, match="has no ledger"):
        _ = agentos.load_run(two[1]).ledger


def test_tables_of_several_runs_begin_with_what_differs(two: list[Path]) -> None:
    runs = agentos.load_runs(two)
    assert runs.labels == ("small (run)", "small (changed)")
    table = runs.agents
    assert list(table.columns[:3]) == ["run", "seed", "topology.hops"]
    assert list(table["topology.hops"].unique()) == [1, 2]
    mean = table[table["arm"] == "together"].groupby("topology.hops")["mrr"].mean()
    assert mean[1] == mean[2] == pytest.approx(agentos.load_run(two[0]).summary["mean"]["mrr"])  # type: ignore
    assert len(runs.metrics) == 2 * len(runs[0].metrics)


def test_a_glob_finds_run_folders_alone(two: list[Path]) -> None:
    (two[1].parent / "notes").mkdir()
    found = agentos.load_runs(str(two[1].parent / "*"))
    assert [run.directory for run in found] == [two[1]]


@pytest.mark.parametrize("folders", ["nothing/*", []])
def test_no_runs_at_all_are_refused(folders: Any) -> None:
    with pytest.raises(RecordError, match="no runs to load"):
        agentos.load_runs(folders)


def test_a_folder_that_is_named_must_be_a_run(two: list[Path]) -> None:
    with pytest.raises(RecordError, match="not a run folder"):
        agentos.load_runs([two[0], two[1].parent])


def test_numbers_that_were_not_finite_are_nan(two: list[Path]) -> None:
    path = two[1] / "metrics.jsonl"
    rows = [{**row, "loss": None} if row["round"] else row for row in lines(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = agentos.load_run(two[1])
    assert run.metrics.query("arm == 'together'")["loss"].isna().all()
    assert run.rounds.query("arm == 'together'")["loss"].isna().all()
