"""Runs that cannot work, as a configuration and a look at its files tell before any text is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from agentos.data.config import DataConfig
from agentos.data.sources.base import Document, Source
from agentos.evaluation.base import HeldOut, Task
from agentos.evaluation.config import EvaluationConfig
from agents.objectives import Objective
from protocols.errors import ConfigurationError

_SMALL_BYTES = 64 * 2**20
"""Largest file of a task that is read for a look."""
_LOOKED_AT = 100
"""Records read at most until one is usable, where bad ones are skipped."""
_IDEAL = "the first line of document {0} has many words\n\n" + "and so has the body of {0} " * 4
"""A document that every task on plain text can use."""


def require_inputs(
    data: DataConfig,
    agents: int,
    evaluation: EvaluationConfig,
    objectives: Sequence[Objective],
    wants_labels: bool,
) -> None:
    """Refuse what the text and the evaluation of a run make impossible, as far as a look tells.

    Args:
        data: the section of the text; the first record of each of its sources is read.
        agents: of the run.
        evaluation: the section of the evaluation; its files must exist.
        objectives: of the run; they decide which language-model heads there are.
        wants_labels: whether the exchange needs the labels of the anchors.

    Raises:
        DataError: a file, a package or a column is missing.
        ConfigurationError: labels, documents or a language-model head are missing.
    """
    labelled = _is_labelled(data.source, data.on_bad_record == "skip")
    if data.anchor_source is not None:
        labelled &= _is_labelled(data.anchor_source, data.on_bad_record == "skip")
    if not labelled:
        _refuse_unlabelled(data, wants_labels)
    _require_documents(data, agents)
    heldout = _best_case(data, evaluation, labelled)
    for task in evaluation.tasks:
        _require_head(task, objectives)
        task.check(heldout)
        _require_file(task)


def _is_labelled(source: Source, skips_bad_records: bool) -> bool:
    """Return whether a source has labels; True where only reading it would tell.

    Raises:
        DataError: there is nothing to read, or the first record cannot be used.
    """
    for record in islice(source.glance(), _LOOKED_AT):
        if isinstance(record, Document):
            return record.label is not None
        if not skips_bad_records:
            raise record
    return True


def _refuse_unlabelled(data: DataConfig, wants_labels: bool) -> None:
    hint = "name the label's field in data.source"
    if data.partition.wants_labels:
        raise ConfigurationError(
            f"the partition {data.partition.kind!r} needs labels, and the documents have none",
            expected="a label for every document",
            actual=f"a {data.source.kind} source without labels",
            hint=f"{hint}, or choose another data.partition",
        )
    if data.private_labels is not None:
        raise ConfigurationError(
            "data.private_labels is set, and the documents have no label",
            expected="a label for every document",
            actual=f"a {data.source.kind} source without labels",
            hint=f"{hint}, or set data.private_labels to null",
        )
    if wants_labels:
        raise ConfigurationError(
            "exchange.labels is true, and the documents have no label",
            expected="a label for every document",
            actual=f"a {data.source.kind} source without labels",
            hint=f"{hint}, or set exchange.labels to clusters",
        )


def _require_documents(data: DataConfig, agents: int) -> None:
    needed = data.anchors + 1 + agents if data.anchor_source is None else 1 + agents
    if data.limit is not None and data.limit < needed:
        raise ConfigurationError(
            "there are too few documents",
            expected=f"at least {needed}: {data.anchors} anchors, 1 held out and one for each of "
            f"{agents} agents",
            actual=f"data.limit: {data.limit}",
            hint="raise data.limit, or lower data.anchors or agents.count",
        )


def _best_case(data: DataConfig, evaluation: EvaluationConfig, labelled: bool) -> HeldOut:
    """Return as many held-out documents as the configuration allows, each fit for every task."""
    most = min(data.heldout_limit, evaluation.documents)
    if data.limit is not None:
        own = data.limit - (data.anchors if data.anchor_source is None else 0)
        most = min(most, max(1, round(data.heldout * own)))
    texts = tuple(_IDEAL.format(number) for number in range(most))
    labels = tuple(str(number % 2) for number in range(most)) if labelled else None
    return HeldOut(texts, labels)


def _require_head(task: Task, objectives: Sequence[Objective]) -> None:
    heads = {objective.language_model for objective in objectives} - {None}
    if task.needs_head is not None and task.needs_head not in heads:
        raise ConfigurationError(
            f"The evaluation task {task.kind!r} needs a {task.needs_head} language-model head",
            expected=f"an objective that trains a {task.needs_head} language model",
            actual=", ".join(objective.kind for objective in objectives),
            hint=f"add such an objective, or take {task.kind} out of evaluation.tasks",
        )


def _require_file(task: Task) -> None:
    """Read the task's own file, unless it is a folder or too large for a look."""
    path = getattr(task, "path", None)
    place = None if path is None else Path(path).expanduser()
    if place is None or place.is_dir() or (place.is_file() and place.stat().st_size > _SMALL_BYTES):
        return
    task.read()
