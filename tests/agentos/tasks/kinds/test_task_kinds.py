"""Kinds of tasks: which files are read as which configuration, and which graphs are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration
from agentos.config.task_file import load_labelled_task, load_task
from agentos.tasks.config import CONFIGURATIONS, CompositeTask, GenerateTask, RankTask, Task
from agentos.tasks.kinds import TASK_KINDS, Composite, Rank
from protocols.errors import ConfigurationError

LABELLED = {"kind": "jsonl", "path": "x.jsonl", "label": "label"}
TASKS: dict[str, Any] = {
    "classify": {"kind": "classify", "source": LABELLED},
    "pair": {"kind": "pair", "source": LABELLED},
    "rank": {"kind": "rank", "source": {"kind": "pairs", "path": "x.jsonl"}},
    "generate": {"kind": "generate", "source": LABELLED},
    "composite": {
        "kind": "composite",
        "parts": {"topic": {"task": {"kind": "classify", "source": LABELLED}}},
    },
}
CLASSES = {"classify": Task, "pair": Task, "rank": RankTask, "generate": GenerateTask}


def written(folder: Path, kind: str, **fields: Any) -> str:
    file = folder / f"{kind}.yaml"
    values = {"name": "x", "library": {"models": ["m"]}, "task": TASKS[kind], **fields}
    file.write_text(yaml.safe_dump(values))
    return str(file)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_file_is_read_as_the_configuration_of_its_kind(kind: str, tmp_path: Path) -> None:
    task = load_task(written(tmp_path, kind))
    assert type(task) is CONFIGURATIONS[kind] is CLASSES.get(kind, CompositeTask)
    assert task.task.kind == kind
    assert type(task).model_validate(task.model_dump(mode="json")) == task


@pytest.mark.parametrize(
    ("kind", "field"), [("rank", "defer"), ("generate", "adapt"), ("composite", "fuse")]
)
def test_field_that_a_kind_does_not_use_is_refused(kind: str, field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=field):
        load_task(written(tmp_path, kind, **{field: "linear"}))


def test_unknown_kind_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    file = written(tmp_path, "rank")
    with pytest.raises(ConfigurationError, match="no task of kind 'rang'") as raised:
        load_task(file, ["task.kind=rang"])
    assert "composite" in str(raised.value.expected)
    assert "'rank'" in str(raised.value.hint)
    with pytest.raises(ConfigurationError, match="labelled texts"):
        load_labelled_task(file)


def composite(**reads: str) -> Composite:
    parts = {
        name: {"task": TASKS["classify"], "reads": template} for name, template in reads.items()
    }
    return Composite.model_validate({"kind": "composite", "parts": parts})


def test_parts_come_after_those_that_they_read() -> None:
    graph = composite(a="{text} {c}", b="{text}", c="{b} {text}")
    assert graph.order == ("b", "c", "a")
    assert graph.before("a") == {"b", "c"}
    assert graph.parts["a"].after == ("c",)
    assert graph.parts["a"].reading("t {b}", {"c": "{text}"}) == "t {b} {text}"


@pytest.mark.parametrize(
    ("reads", "problem"),
    [
        ({"a": "{text} {b}", "b": "{a} {text}"}, "circle"),
        ({"a": "{text} {a}"}, "circle"),
        ({"a": "{text} {z}"}, "not a part"),
        ({"a": "{text} {text.__class__}"}, "not a part"),
        ({"a": "alone"}, "does not read"),
        ({"text": "{text}"}, "names no part"),
        ({"../a": "{text}"}, "names no part"),
    ],
)
def test_graph_that_cannot_be_worked_on_is_refused(reads: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        composite(**reads)


def test_documents_cannot_be_spread_by_labels_that_they_lack() -> None:
    with pytest.raises(ValidationError, match="needs labels"):
        Rank.model_validate({**TASKS["rank"], "spread": "by_label"})


EXAMPLES = sorted((Path(__file__).parents[4] / "experiments" / "tasks").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_is_a_valid_task(file: Path) -> None:
    assert load_task(str(file), ["library.runs=[runs/x]"]).name == file.stem


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4
