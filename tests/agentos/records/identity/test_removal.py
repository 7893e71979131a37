"""Removal of runs: all that a run wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentos.records.identity import removal
from agentos.records.identity.folder_lock import alone_in
from agentos.records.identity.removal import is_run_folder, remove_checkpoints, remove_run
from agentos.records.recorder import Recorder
from protocols.errors import RecordError
from protocols.topologies import TOPOLOGIES


def make_run(folder: Path) -> Path:
    pair = TOPOLOGIES["ring"]().build(agents=2, seed=0)
    with Recorder(folder) as recorder:
        recorder.start("name: small", pair, ["numpy", "torch"])
        recorder.round(1, [{"agent": 0, "loss": 0.5}, {"agent": 1, "loss": 0.25}])
    for name in ("checkpoints/together-00001/agent-0.safetensors", "encoders/agent-0/config.json"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("{}")
    for name in ("run.log", ".live.json", ".run.log.123.tmp"):
        (folder / name).write_text("")
    return folder


def test_run_is_removed_with_its_folder(tmp_path: Path) -> None:
    assert remove_run(make_run(tmp_path / "run")) == ()
    assert list(tmp_path.iterdir()) == []


def test_files_that_no_run_writes_are_kept(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "notes.txt").write_text("thesis")
    assert remove_run(folder) == ("notes.txt",)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert not is_run_folder(folder)


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    folder, precious = make_run(tmp_path / "run"), tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("thesis")
    (folder / "isolated").symlink_to(precious)
    (folder / "encoders" / "out").symlink_to(precious)
    remove_run(folder)
    assert (precious / "thesis.txt").exists()
    assert not folder.exists()


def test_link_to_a_run_and_other_folders_are_refused(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.yaml").write_text("mine: true")
    for name in ("link", "project", "missing"):
        for remove in (remove_run, remove_checkpoints):
            with pytest.raises(RecordError, match="not a run folder"):
                remove(tmp_path / name)
    assert is_run_folder(folder)
    assert (tmp_path / "project" / "config.yaml").exists()


def test_run_in_progress_is_refused(tmp_path: Path) -> None:
    import threading

    folder = make_run(tmp_path / "run")
    errors: list[RecordError] = []

    def attempt() -> None:  # one thread may take its own lock twice
        for remove in (remove_run, remove_checkpoints):
            try:
                remove(folder)
            except RecordError as error:
                errors.append(error)

    with alone_in(folder):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert ["in use" in str(error) for error in errors] == [True, True]
    assert (folder / "checkpoints" / "together-00001").exists()


def test_removal_that_was_cut_short_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run")
    removed: list[Path] = []

    def cut(path: Path) -> None:
        if len(removed) == 3:
            raise OSError("no")
        removed.append(path)
        real(path)

    real = removal._remove
    monkeypatch.setattr(removal, "_remove", cut)
    with pytest.raises(RecordError):
        remove_run(folder)
    monkeypatch.setattr(removal, "_remove", real)
    assert is_run_folder(folder)
    assert remove_run(folder) == ()


def test_checkpoints_are_removed_alone(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    remove_checkpoints(folder)
    assert not (folder / "checkpoints").exists()
    assert (folder / "encoders" / "agent-0" / "config.json").exists()
    assert is_run_folder(folder)
