"""``agentos plan``: from a file to a schedule, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from agentos.cli.main import app
from agentos.config.field_errors import InvalidConfiguration
from agentos.config.task_file import load_task
from agentos.tasks.config import LibraryConfig
from agentos.tasks.solving.candidates import task_texts
from agentos.tasks.solving.workbench import cards_of
from protocols.errors import AgentOSError, ConfigurationError

CLASSES = ("cats", "dogs", "owls")


@pytest.fixture
def task(tmp_path: Path, save_encoder, sentences) -> Path:
    """A file that names two small models and labelled sentences."""
    models = [str(save_encoder(tmp_path / f"m{seed}", seed)) for seed in range(2)]
    rows = [
        {
            "text": f"{sentences[i % len(sentences)]} {i} {CLASSES[i % 3]} {i * 7}",
            "label": CLASSES[i % 3],
        }
        for i in range(90)
    ]
    data = tmp_path / "texts.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    source = {"kind": "jsonl", "path": str(data), "text": "text", "label": "label"}
    values = {
        "name": "triage",
        "library": {"models": models},
        "task": {"kind": "classify", "source": source, "shots": 8, "max_length": 16},
        "clock": {"speed": 1e6, "latency_s": 0.5, "bytes_per_s": 1e4},
    }
    path = tmp_path / "triage.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def plan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def test_plan_is_printed_and_written_as_a_page(task: Path, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    found = plan(task, "--out", page)
    assert found.exit_code == 0, found.output
    assert "all answers are joined after" in found.output
    assert "m0" in found.output
    assert "Plan of triage" in page.read_text("utf-8")


@pytest.mark.parametrize("kind", ["none", "shards"])
def test_division_is_planned_as_the_override_says(task: Path, kind: str) -> None:
    found = plan(task, f"decompose.kind={kind}", "decompose.slack=1.0", "--json")
    assert found.exit_code == 0, found.output
    shown = json.loads(found.output)
    names = [each["name"] for each in shown["subtasks"]]
    wanted = {"none": {"m0", "m1"}, "shards": {"shard-0", "shard-1"}}[kind]
    assert (names[0], names[-1]) == ("assign", "join")
    assert set(names[1:-1]) == wanted
    assert shown["makespan_s"] == max(each["end_s"] for each in shown["subtasks"])
    assert all(each["flops"] > 0 for each in shown["agents"])


def test_only_a_few_texts_of_each_class_are_fitted_on_and_none_that_is_asked(task: Path) -> None:
    texts = task_texts(load_task(str(task)))
    assert texts.classes == CLASSES
    assert [(texts.labels == label).sum() for label in range(3)] == [8, 8, 8]
    assert not set(texts.fit) & set(texts.asked)


def test_mistakes_in_the_file_are_told_with_their_place(task: Path) -> None:
    wrong = plan(task, "decompose.kind=halves")
    assert isinstance(wrong.exception, InvalidConfiguration)
    assert "decompose" in str(wrong.exception)
    nobody = plan(task, "library.models=[]")
    assert isinstance(nobody.exception, AgentOSError)
    assert "library" in str(nobody.exception)
    with pytest.raises(ConfigurationError, match="is empty"):
        cards_of(LibraryConfig(folder=str(task.parent / "no-library")), print)
