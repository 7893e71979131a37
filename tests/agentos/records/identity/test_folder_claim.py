"""A folder whose run never began is taken again; one that holds anything else is not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agentos.records.reader import load_run
from agentos.records.recorder import Recorder
from protocols.errors import RecordError
from protocols.topologies import TOPOLOGIES

NETWORK = TOPOLOGIES["ring"]().build(agents=2, seed=0)


class PowerCut(BaseException):
    """An end that leaves no time for anything."""


def started(folder: Path, name: str = "small") -> None:
    with Recorder(folder) as recorder:
        recorder.start(f"name: {name}", NETWORK, ["a", "b"])


@pytest.mark.parametrize("writes", range(4))
def test_run_cut_off_while_it_writes_its_description_begins_again(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import agentos.records.atomic_files as files

    left = [writes]

    def sync(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", sync)
        with pytest.raises(PowerCut):
            started(tmp_path / "run", "before")
    (tmp_path / "run" / ".network.json.77.tmp").write_text("half", encoding="utf-8")
    with pytest.raises(RecordError, match="stopped before its first round") as caught:
        load_run(tmp_path / "run")
    assert "agentos run" in str(caught.value.hint)
    with caplog.at_level(logging.WARNING):
        started(tmp_path / "run", "after")
    assert "it begins again" in caplog.text
    assert load_run(tmp_path / "run").config == {"name": "after"}
    assert not list((tmp_path / "run").glob("*.tmp"))
    assert not (tmp_path / "run" / ".starting").exists()


def test_folder_with_a_lock_alone_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".lock-holder.json").write_text("{", encoding="utf-8")
    started(tmp_path)
    assert load_run(tmp_path).config == {"name": "small"}


@pytest.mark.parametrize("name", ["thesis.txt", "config.yaml", "metrics.jsonl"])
def test_folder_that_holds_anything_else_is_refused_and_left_alone(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("years of work", encoding="utf-8")
    with pytest.raises(RecordError, match=f"not empty.*{name}"):
        started(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_mark_does_not_give_away_what_a_user_put_beside_it(tmp_path: Path) -> None:
    (tmp_path / ".starting").touch()
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(RecordError, match="not empty"):
        started(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_run_that_ended_its_start_is_refused(tmp_path: Path) -> None:
    started(tmp_path / "run")
    with pytest.raises(RecordError, match="not empty"):
        started(tmp_path / "run", "other")
    assert load_run(tmp_path / "run").config == {"name": "small"}


def test_abandoned_folder_goes_unless_something_is_in_it(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run") as recorder:
        recorder.claim()
        recorder.abandon()
    assert not (tmp_path / "run").exists()
    started(tmp_path / "kept")
    with Recorder(tmp_path / "kept") as recorder:
        recorder.abandon()
    assert (tmp_path / "kept" / "config.yaml").exists()


def test_halves_of_files_go_when_a_run_goes_on(tmp_path: Path) -> None:
    started(tmp_path / "run")
    (tmp_path / "run" / ".summary.json.77.tmp").write_text("half", encoding="utf-8")
    (tmp_path / "run" / ".notes").write_text("mine", encoding="utf-8")
    with Recorder(tmp_path / "run") as recorder:
        recorder.go_on({"together": -1, "isolated": -1})
    assert not (tmp_path / "run" / ".summary.json.77.tmp").exists()
    assert (tmp_path / "run" / ".notes").exists()
