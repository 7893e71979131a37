"""The library commands: models are added, listed, checked, shown and removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agentos.cli.main import app
from agentos.tasks.library import Library
from agentos.tasks.library.library_folder import cards_of, library_file, require_present, state_of
from protocols.errors import AgentOSError, ConfigurationError


@pytest.fixture
def models(tmp_path: Path, save_encoder) -> list[Path]:
    folders = [save_encoder(tmp_path / f"model-{seed}", seed) for seed in range(2)]
    return [*folders, Path(shutil.copytree(folders[0], tmp_path / "copy"))]


@pytest.fixture
def library(tmp_path: Path):
    """Run the command on a library of the test's own."""

    def call(*arguments: str | Path) -> Result:
        words = ["library", *map(str, arguments), "--library", str(tmp_path / "lib")]
        return CliRunner().invoke(app, words)

    return call


def states(result: Result) -> dict[str, str]:
    return {model["name"]: model["state"] for model in json.loads(result.output)["models"]}


def test_models_are_added_listed_and_removed(library, models: list[Path]) -> None:
    assert "holds no model" in library("list").output
    added = library("add", *models)
    assert added.exit_code == 0, added.output
    assert "added copy: " in added.output
    assert "(the weights of model-0)" in added.output
    listed = library("list", "--json")
    assert states(listed) == dict.fromkeys(("model-0", "model-1", "copy"), "present")
    assert "model-1" in library("list").output
    assert "2 left" in library("remove", "copy").output
    library("add", models[2])
    assert json.loads(library("remove", "copy", "--json").output) == {
        "removed": ["copy"],
        "left": 2,
    }
    assert set(states(library("list", "--json"))) == {"model-0", "model-1"}
    assert models[2].is_dir(), "only the card goes"


def test_check_tells_missing_and_changed_models_and_fails(
    library, models: list[Path], save_encoder
) -> None:
    library("add", *models)
    assert library("list", "--check").exit_code == 0
    shutil.rmtree(models[2])
    save_encoder(models[1], seed=7)
    (models[0] / "config.json").write_text("{", "utf-8")
    found = library("list", "--check", "--json")
    assert found.exit_code == 1
    assert states(found) == {"model-0": "unreadable", "model-1": "changed", "copy": "missing"}
    unchecked = library("list", "--json")
    assert unchecked.exit_code == 0
    assert states(unchecked) == {"model-0": "present", "model-1": "present", "copy": "missing"}


def test_show_compares_the_weights_and_names_copies(
    library, models: list[Path], save_encoder
) -> None:
    library("add", *models)
    shown = json.loads(library("show", "model-0", "--json").output)
    assert (shown["state"], shown["copies"], shown["width"]) == ("present", ["copy"], 16)
    save_encoder(models[0], seed=7)
    text = library("show", "model-0").output
    assert "changed" in text
    assert shown["origin"] in text


def test_agents_of_a_run_are_added_under_its_name(library, finished) -> None:
    added = library("add", finished.directory, "--name", "ring", "--json")
    assert added.exit_code == 0, added.output
    names = [card["name"] for card in json.loads(added.output)]
    assert names == [f"ring/agent-{agent}" for agent in range(4)]
    assert states(library("list", "--json", "--check")) == dict.fromkeys(names, "present")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "x"), "no model of this name"),
        (("remove", "x"), "no model of this name"),
        (("add", "/nowhere"), "neither a run folder nor an encoder"),
        (("add", "/nowhere", "/here", "--name", "x"), "one name is given for several"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_hint(library, arguments, message) -> None:
    found = library(*arguments)
    assert isinstance(found.exception, AgentOSError)
    assert message in str(found.exception)
    assert found.exception.hint


def test_taken_name_adds_nothing(library, models: list[Path]) -> None:
    library("add", models[0])
    again = library("add", models[1], "--name", "model-0")
    assert isinstance(again.exception, ConfigurationError)
    assert set(states(library("list", "--json"))) == {"model-0"}


def test_library_of_the_user_is_in_the_home_folder(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert library_file() == tmp_path / ".local" / "share" / "agentos" / "library.json"
    assert library_file(Path("~/models")) == tmp_path / "models" / "library.json"


def test_library_with_a_lost_folder_is_refused_before_work_begins(models: list[Path]) -> None:
    kept = Library().add(card for folder in models for card in cards_of(folder))
    require_present(kept)
    shutil.rmtree(models[1])
    assert [state_of(card) for card in kept.cards] == ["present", "missing", "present"]
    with pytest.raises(ConfigurationError, match="model-1") as caught:
        require_present(kept)
    assert caught.value.hint
