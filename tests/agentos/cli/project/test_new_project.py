"""``agentos init``: what it writes runs at once, and nothing is ever overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentos.cli.project.new_project import module_of, write_project
from protocols.errors import ConfigurationError, RecordError

ROOT = Path(__file__).parents[4]


def in_project(folder: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AGENTOS_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_project_runs_as_it_stands(tmp_path: Path, cache: Path) -> None:
    done = in_project(tmp_path, cache, "agentos.cli", "init", "my-society")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "my-society"
    assert f"cd {folder.name}" in done.stdout
    done = in_project(folder, cache, "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    run = ("agentos.cli", "run", "run.yaml", "--trust-plugins", "my_society", "--out", "runs/ring")
    run += ("training.rounds=1", "training.local_steps=2", "baseline.isolated=false")
    done = in_project(folder, cache, *run)
    assert done.returncode == 0, done.stderr
    assert (folder / "runs/ring/report.html").is_file()


@pytest.mark.parametrize("name", ["", "My-Society", "2nd", "a/b", "../up", "class", "a" * 61])
def test_names_that_no_module_can_have_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a project"):
        module_of(name)


@pytest.mark.parametrize("name", ["numpy", "agentos", "json"])
def test_names_of_installed_modules_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="Python has a module"):
        module_of(name)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RecordError, match=r"is not empty.*notes\.txt"):
        write_project(tmp_path, "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_project(tmp_path, "mine")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"run.yaml", "mine.py", "test_mine.py", "README.md", ".gitignore"}
    assert all("$" not in path.read_text() for path in tmp_path.iterdir())
