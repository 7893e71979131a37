from __future__ import annotations

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agentos.cli.encoders.assessment import Request
from agentos.cli.encoders.evaluate import show
from agentos.cli.main import app
from agentos.evaluation import KNN, Probe
from agentos.evaluation.assess import Assessment
from protocols.errors import RecordError

SCORES = {"agent-0": 0.2, "agent-1": 0.3, "joint": 0.9}


@pytest.fixture
def found():
    scores = {f"agent-{i}": {"knn": {"knn_accuracy": i / 10}} for i in range(8)}
    return Assessment("[held-out]", 40, True, 0, {"knn": KNN.metrics}, scores)


def test_table_shows_every_encoder_and_the_mean(found):
    console = Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    show(console, found)
    text = console.export_text()
    assert "40 documents, labelled, from [held-out]" in text
    assert all(f"agent-{i}" in text for i in range(8))
    assert "35.0%" in text
    console.file.close()


def test_joint_embedding_has_a_column_and_is_not_in_the_mean():
    scores = {name: {"knn": {"knn_accuracy": value}} for name, value in SCORES.items()}
    console = Console(width=120)
    with console.capture() as captured:
        show(console, Assessment("here", 40, True, 0, {"knn": KNN.metrics}, scores))
    text = captured.get()
    assert "mean alone" in text
    assert "25.0%" in text
    assert "90.0%" in text


def test_command_prints_a_table_and_writes_json(monkeypatch, tmp_path, found):
    requests = []

    def assessed(request, progress):
        requests.append(request)
        return found

    monkeypatch.setattr("agentos.cli.encoders.assessment.assessed", assessed)
    out = tmp_path / "new" / "scores.json"
    arguments = ["eval", "runs/x", "--task", "knn", "--task", "probe", "--agent", "2"]
    done = CliRunner().invoke(app, [*arguments, "--seed", "3", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert requests == [Request("runs/x", ["knn", "probe"], agents=[2], seed=3)]
    written = json.loads(out.read_text())
    assert written["target"] == "runs/x"
    assert written["encoders"]["agent-3"]["knn"]["knn_accuracy"] == 0.3
    printed = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(printed.stdout)["encoders"] == written["encoders"]
    refused = CliRunner().invoke(app, [*arguments, "--out", str(out / "scores.json")])
    assert isinstance(refused.exception, RecordError)


def test_scores_are_saved_before_they_are_printed(monkeypatch, tmp_path, found):
    def show(*_):
        raise BrokenPipeError("the reader has left")

    monkeypatch.setattr("agentos.cli.encoders.assessment.assessed", lambda *_: found)
    monkeypatch.setattr("agentos.cli.encoders.evaluate.show", show)
    CliRunner().invoke(app, ["eval", "runs/x", "--out", str(tmp_path / "scores.json")])
    assert json.loads((tmp_path / "scores.json").read_text())["documents"] == 40


def test_help_teaches_by_examples():
    done = CliRunner().invoke(app, ["eval", "--help"])
    assert "Example: agentos eval" in done.output
    assert Probe().kind in done.output
