"""``agentos init``: what it writes runs at once, and nothing is ever overwritten."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentos.cli.main import main
from agentos.cli.project.new_project import module_of, write_project
from protocols.errors import ConfigurationError, RecordError

NAME, MODULE = "my-society", "my_society"
QUICK = (
    "training.rounds=1",
    "training.local_steps=2",
    "evaluation.documents=50",
    "baseline.isolated=false",
)


@pytest.fixture
def project(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Path]:
    """A new project as the working directory, whose module can be imported as in a shell there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    assert call(monkeypatch, "init", NAME) == 0
    assert f"cd {NAME}" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path / NAME)
    monkeypatch.syspath_prepend(str(tmp_path / NAME))
    yield tmp_path / NAME
    sys.modules.pop(MODULE, None)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call the command line in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["agentos", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


@pytest.mark.slow
def test_project_runs_as_it_stands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("run", "run.yaml", "--trust-plugins", MODULE, "--out", "runs/ring", *QUICK)
    assert call(monkeypatch, *run) == 0
    assert (project / "runs/ring/report.html").is_file()
    names: dict[str, Any] = {}
    cells = json.loads((project / "compare.ipynb").read_text("utf-8"))["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        code = "".join(cell["source"]).replace("SHORTER = []", f"SHORTER = {list(QUICK)}")
        exec(compile(code, "<cell>", "exec"), names)
    assert set(names["runs"].agents["topology.kind"]) == {"ring", "complete"}


def test_study_of_a_project_is_twelve_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ("sweep", "study.yaml", "--trust-plugins", MODULE, "--dry-run")
    assert call(monkeypatch, *study) == 0
    said = capsys.readouterr().out
    assert all(f"{arm}" in said for arm in ("alone", "ring", "complete", "star"))
    assert "12 runs" in said


@pytest.mark.slow
def test_the_tests_of_a_project_pass(project: Path, tmp_path: Path) -> None:
    tests = runpy.run_path(str(project / f"test_{MODULE}.py"))
    found = [name for name in tests if name.startswith("test_")]
    assert len(found) == 2
    for name in found:
        tests[name](*([tmp_path] if tests[name].__code__.co_argcount else []))


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
    assert written == {
        "run.yaml", "study.yaml", "mine.py", "test_mine.py", "compare.ipynb", "README.md", ".gitignore",
    }  # fmt: skip
    assert all("$" not in path.read_text() for path in tmp_path.iterdir())
