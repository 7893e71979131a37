"""``agentos resume`` goes on by other means, and to no other end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agentos import RunConfig
from agentos.cli.main import app
from agentos.records.identity.folder_lock import alone_in
from agentos.records.recorder import Recorder
from agentos.runtime.profiling.trace_file import load_timeline
from protocols.errors import ConfigurationError, RecordError


@pytest.fixture
def stopped(small: Callable[..., RunConfig], tmp_path: Path) -> Path:
    """The folder of a run with threads of its own that stopped before its first round."""
    config = small(runtime={"kind": "local", "threads": 2})
    with Recorder(tmp_path / "run") as recorder:
        recorder.start(yaml.safe_dump(config.resolved()), config.network(), ["a", "b", "c", "d"])
    return tmp_path / "run"


@pytest.mark.parametrize(
    "override",
    ["training.rounds=9", "seed=1", "runtime.threads=1", "runtime.stack=4", "runtime=ray"],
)
def test_resume_refuses_what_would_change_the_metrics(stopped: Path, override: str) -> None:
    done = CliRunner().invoke(app, ["resume", str(stopped), override])
    assert isinstance(done.exception, ConfigurationError)
    assert "would alter the results" in done.exception.message
    assert "agentos fork" in str(done.exception.hint)


def test_resume_goes_on_with_other_means(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("agentos.cli.resume.watched", lambda *given: asked.extend(given))
    means = ["runtime.kind=ray", "runtime.threads=2", "runtime.object_store_mb=900"]
    done = CliRunner().invoke(app, ["resume", str(stopped), *means, "--address", "auto"])
    assert done.exit_code == 0, done.output
    config, directory, address, _, profile, live, as_json = asked
    assert (config.runtime.kind, config.runtime.object_store_mb) == ("ray", 900)
    assert (directory, address) == (stopped, "auto")
    assert (profile, live, as_json) == (False, False, False)


def test_folder_that_another_run_writes_to_is_refused(stopped: Path) -> None:
    refused = []

    def attempt() -> None:
        refused.append(CliRunner().invoke(app, ["resume", str(stopped)]).exception)

    with alone_in(stopped):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert isinstance(refused[0], RecordError)
    assert f"process {os.getpid()}" in str(refused[0].actual)


@pytest.mark.parametrize("command", [["resume"], ["fork", "--round", "1"]])
def test_changed_data_is_allowed_by_a_flag_alone(
    command: list[str], stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def note(*given: Any) -> None:
        asked.append(given[-1])

    monkeypatch.setattr("agentos.cli.resume.watched", lambda *_: None)
    for name in ("resumption", "branch"):
        monkeypatch.setattr(f"agentos.rounds.resumption.{name}", note)
    for flags in ([], ["--changed-data-ok"]):
        done = CliRunner().invoke(app, [command[0], str(stopped), *command[1:], *flags])
        assert done.exit_code == 0, done.output
    assert asked == [False, True]


def test_resumed_run_is_profiled_where_it_is_asked_for(
    stopped: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    done = CliRunner().invoke(app, ["resume", str(stopped), "--profile"])
    assert done.exit_code == 0, done.output
    timeline = load_timeline(stopped / "trace.json")
    assert timeline is not None
    assert len(timeline.lanes) == 2
    assert "Time by phase" in (stopped / "report.html").read_text("utf-8")
