"""``agentos push``: what goes to the hub, and with which card; a fake stands for the hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos.cli.encoders.push import push, require_repo, stage, upload
from agentos.cli.main import main
from agentos.records.views.run_view import load_view
from agentos.reporting.model_card import model_card
from agentos.reporting.units import metric_text, share_precision
from protocols.errors import ConfigurationError, RuntimeFailure


class FakeHub:
    """Keeps what it is asked to do, and fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[Any] = []
        self.error = error

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append((repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        self.calls.append((repo_id, {path.name for path in Path(folder_path).iterdir()}))


def test_encoder_and_card_go_to_the_hub(
    finished: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = FakeHub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    push(finished.directory, "me/reader", agent=1)
    push(finished.directory, "me/reader", agent=1, public=True)
    folder = finished.directory / "encoders/agent-1"
    files = {path.name for path in folder.iterdir()} | {"README.md"}
    uploaded = ("me/reader", files)
    assert hub.calls == [
        *(("me/reader", True, True), uploaded),
        *(("me/reader", False, True), uploaded),
    ]
    assert not (folder / "README.md").exists()
    assert "https://huggingface.co/me/reader" in capsys.readouterr().out


def test_dry_run_shows_files_and_card_and_sends_nothing(
    finished: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("reached for the hub"))
    command = ["push", str(finished.directory), "--repo", "me/reader", "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["agentos", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "model.safetensors" in said
    assert "would go to me/reader" in said
    assert "# small, agent 0" in said
    push(finished.directory, "me/reader", dry_run=True, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["repo"], found["pushed"]) == ("me/reader", False)
    assert found["files"]["model.safetensors"] > 1000


def test_card_tells_training_and_results_and_no_path_of_this_machine(finished: Any) -> None:
    view = load_view(finished.directory)
    card = model_card(view, 1)
    front = yaml.safe_load(card.split("---")[1])
    assert front["tags"] == ["agentos", "anchor_contrast", "ring"]
    assert "| text | jsonl: corpus.jsonl |" in card
    assert str(finished.directory.parent) not in card
    assert "| rounds | 2 |" in card
    sure = share_precision(view.heldout or 0)
    assert f"up to {view.heldout} documents; a share of them is known to {sure}" in card
    metric = view.outcome.metrics[0]
    (row,) = (line for line in card.splitlines() if line.startswith(f"| {metric.title} ("))
    arms = (finished.result.before, finished.result.isolated, finished.result)
    values = [arm.agents["agent-1"][metric.name] for arm in arms]
    cells = [metric_text(v, metric) for v in (*values, finished.result.mean[metric.name])]
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == cells


def test_text_of_strangers_stays_text_in_the_card(finished: Any) -> None:
    from dataclasses import replace

    view = load_view(finished.directory)
    hostile = "a|b\n# [x](http://evil)<script>\x1b[2J"
    card = model_card(replace(view, names=(hostile, *view.names[1:]), exchange="`" + hostile), 0)
    (row,) = (line for line in card.splitlines() if line.startswith("| agent |"))
    assert row == r"| agent | a\|b \# \[x\](http://evil)\<script\>\\x1b\[2J |"
    assert card.count("\n# ") == 1


def test_staged_folder_is_a_copy_that_loads(finished: Any, tmp_path: Path) -> None:
    from agentos.evaluation.loaded_encoder import LoadedEncoder

    stage(finished.directory, 2, tmp_path / "encoder")
    assert (tmp_path / "encoder/README.md").read_text().startswith("---\n")
    assert LoadedEncoder.load(str(tmp_path / "encoder")).embed(["wave tide"]).shape == (1, 64)


@pytest.mark.parametrize("repo", ["", "reader", "me/", "me/re ader", "me/../x", "a/b/c", "me/a--b"])
def test_names_that_the_hub_refuses_are_refused_before(repo: str) -> None:
    with pytest.raises(ConfigurationError, match="no repository of the hub"):
        require_repo(repo)


def test_refusal_of_the_hub_is_one_error(tmp_path: Path) -> None:
    hub = FakeHub(OSError("no network\ndetails"))
    with pytest.raises(RuntimeFailure, match=r"could not be pushed.*OSError: no network; hint"):
        upload(hub, tmp_path, "me/reader", private=True)
