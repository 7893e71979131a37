"""A little of what `experiments.benchmarks.fuzzing.crash_points` does at length."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.exchange import EXCHANGES
from experiments.benchmarks.fuzzing.crash_points import (
    KILLED,
    Tried,
    config_of,
    in_child,
    settings,
    table,
    try_setting,
    write_corpus,
)
from experiments.benchmarks.fuzzing.disk_steps import counted

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="runs are ended in forked processes"
)


def steps(folder: Path, last: int | None) -> int:
    count = counted(folder, last, KILLED)
    (folder / "a").write_text("1")
    (folder / "a").read_text()
    (folder / "a").rename(folder / "b")
    (folder.parent / "elsewhere").write_text("1")
    (folder / "b").unlink()
    return count()


@needs_fork
def test_process_dies_before_the_step_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert in_child(lambda: steps(folder, None)) == (0, "3")
    assert in_child(lambda: steps(folder, 3)) == (KILLED, "")
    assert [path.name for path in folder.iterdir()] == ["b"]


def test_every_exchange_and_runtime_has_a_setting(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus.jsonl")
    assert settings().keys() == {*EXCHANGES, "asynchronous", "ray"}
    for fields in settings().values():
        config_of(fields, tmp_path / "corpus.jsonl")


@needs_fork
@pytest.mark.slow
def test_run_that_dies_goes_on_to_the_same_metrics(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus.jsonl")
    tried = try_setting("anchor_contrast", 2, 1, tmp_path)
    assert [each.outcome for each in tried] == ["same", "same"]
    assert all(0 < each.step <= each.steps for each in tried)


def test_table_names_what_ended_otherwise() -> None:
    text = table([Tried("ray", 3, 9, "same"), Tried("ray", 4, 9, "other metrics, resumed")], 1, 0)
    assert "| ray | 9 | 2 | 1 | 1 |" in text
    assert "- ray, step 4: other metrics, resumed" in text
