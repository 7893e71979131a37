"""A run's row agrees with its folder, and the table with its rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentos.preflight.flops import size_of
from agentos.sweep.rows import measured, read_table, write_table
from protocols.errors import RecordError


def test_row_agrees_with_the_records(finished: Any) -> None:
    row = measured(finished.directory, finished.config)
    result = finished.result
    assert (row["status"], row["agents"], row["rounds"], row["steps"]) == ("finished", 4, 2, 4)
    assert row["payload_bytes"] == result.bytes.total
    assert (row["trained_tokens"], row["anchor_tokens"]) == (result.tokens, result.anchor_tokens)
    for name, value in result.mean.items():
        assert row[f"{name}.mean"] == value
        assert row[f"{name}.worst"] == result.worst[name]
        assert row[f"{name}.agents"] == [values[name] for values in result.agents.values()]


def test_tokens_and_operations_are_of_all_agents(finished: Any) -> None:
    row = measured(finished.directory, finished.config)
    lines = (finished.directory / "metrics.jsonl").read_text().splitlines()
    embedded = sum(json.loads(line).get("embedded_tokens", 0) for line in lines)
    assert row["embedded_tokens"] == embedded > 0
    assert row["tokens"] == row["trained_tokens"] + embedded
    # Agents of one size: the operations of the sum are the sum of the operations.
    size = size_of(finished.config.agents.resolved[0].encoder)
    length = finished.config.training.max_length
    assert row["flops"] == size.flops(length, row["trained_tokens"], embedded)


def test_curve_goes_from_nothing_to_the_whole(finished: Any) -> None:
    row = measured(finished.directory, finished.config)
    assert row["curve.round"] == [0, 1, 2]
    for name in ("payload_bytes", "tokens", "flops"):
        assert (row[f"curve.{name}"][0], row[f"curve.{name}"][-1]) == (0, row[name])
        assert row[f"curve.{name}"] == sorted(row[f"curve.{name}"])
    before, after = finished.result.before.mean, finished.result.mean
    assert (row["curve.mrr.mean"][0], row["curve.mrr.mean"][-1]) == (before["mrr"], after["mrr"])
    assert row["curve.mrr.worst"][-1] == row["mrr.worst"]


def test_table_keeps_types_and_fills_gaps(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "status": "failed", "error": "no text"},
        {"id": "b", "status": "finished", "error": None, "bytes": 2**40, "m.agents": [0.5, None]},
    ]
    write_table(tmp_path / "results.parquet", rows)
    first, second = read_table(tmp_path / "results.parquet")
    assert first == {**rows[0], "bytes": None, "m.agents": None}
    assert second == rows[1]


def test_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.parquet").write_text("no table")
    for name in ("results.parquet", "missing.parquet"):
        with pytest.raises(RecordError, match="cannot be read"):
            read_table(tmp_path / name)
