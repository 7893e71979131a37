"""Evaluate encoders that lie on disk: those that a run exported, or one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import ValidationError

from agentos.evaluation import TASKS, Evaluator, HeldOut, Metric, Task
from agentos.evaluation.evaluator import Memo
from protocols.errors import ConfigurationError, DataError, RecordError
from protocols.spec import Kinds, Spec

if TYPE_CHECKING:
    from agentos.config.run import RunConfig

CONFIG = "config.yaml"
_SOURCES = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Assessment:
    """What encoders on disk came to.

    Attributes:
        data: where the documents come from.
        documents: how many.
        labelled: whether they have labels.
        seed: that tasks drew with.
        metrics: of each task, as it was named.
        encoders: name -> task -> metric -> value.
    """

    data: str
    documents: int
    labelled: bool
    seed: int
    metrics: dict[str, tuple[Metric, ...]]
    encoders: dict[str, dict[str, dict[str, float]]]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "data": self.data,
            "documents": self.documents,
            "labelled": self.labelled,
            "seed": self.seed,
            "encoders": self.encoders,
        }


def assess(
    target: str,
    tasks: Sequence[str],
    *,
    data: str | None = None,
    agents: Sequence[int] = (),
    max_length: int | None = None,
    seed: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Assessment:
    """Evaluate every encoder of a run folder, or one model.

    Args:
        target: a run folder, a model folder, or a name in the local Hugging Face cache.
        tasks: each a kind, perhaps with parameters: ``probe``, ``sts:pairs.jsonl``, ``knn:k=5``.
            None for those of the run, or for a model, those that need no file.
        data: a file of documents, a run folder, or a run's configuration, whose held-out documents
            are taken; a run's own if not given.
        agents: of the run; all of them if not given.
        max_length: tokens of a text; as each folder says if not given.
        seed: of what tasks draw; the run's own, or 0, if not given.
        progress: is told what is being done.

    Raises:
        AgentOSError: something that was named cannot be used.
    """
    run = _run_config(target)
    folders = _encoders(Path(target), agents) if run is not None else {Path(target).name: target}
    chosen = {text: parse_task(text) for text in tasks}
    if run is None and data is None:
        missing = "" if Path(target).is_dir() else f"there is no folder {target}; "
        raise ConfigurationError(
            f"{missing}{target} is taken for a model, and no documents are named to evaluate it on",
            expected="a run folder, or --data with a file of documents, a run or its configuration",
            hint="correct the path of the run, or give --data, such as --data documents.jsonl",
        )
    progress("Reading documents")
    heldout = _heldout(data, run)
    chosen = chosen or _default_tasks(run if data is None else None, heldout)
    used = seed if seed is not None else run.seed if run is not None else 0
    evaluators = {
        text: Evaluator((task,), heldout, used).with_files() for text, task in chosen.items()
    }
    for evaluator in evaluators.values():
        evaluator.check()
    encoders = {}
    for name, folder in folders.items():
        progress(f"Evaluating {name}")
        encoders[name] = _assess_one(folder, evaluators, max_length)
    return Assessment(
        data=data or f"held-out documents of {target}",
        documents=len(heldout.texts),
        labelled=heldout.labels is not None,
        seed=used,
        metrics={text: evaluator.metrics for text, evaluator in evaluators.items()},
        encoders=encoders,
    )


def parse_task(text: str) -> Task:
    """Return the task that ``KIND``, ``KIND:PATH`` or ``KIND:NAME=VALUE,...`` names.

    Raises:
        InvalidConfiguration: the kind or a parameter is unknown, or a value out of range.

    Example:
        >>> parse_task("knn:k=5").k
        5
        >>> parse_task("sts:pairs.csv,score=similarity").path
        'pairs.csv'
    """
    from agentos.config.field_errors import InvalidConfiguration, explain

    kind, _, rest = text.partition(":")
    values: dict[str, Any] = {"kind": kind}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        values.update({name: yaml.safe_load(value)} if equals else {"path": part})
    try:
        return _OneTask.model_validate({"task": values}).task
    except ValidationError as error:
        raise InvalidConfiguration(f"--task {text}", explain(error, _OneTask)) from error


class _OneTask(Spec):
    task: Annotated[Task, Kinds(TASKS)]


def _assess_one(
    folder: str, evaluators: dict[str, Evaluator], max_length: int | None
) -> dict[str, dict[str, float]]:
    from agentos.evaluation.loaded_encoder import LoadedEncoder

    memo = Memo(LoadedEncoder(folder, max_length=max_length))
    return {text: evaluator(memo) for text, evaluator in evaluators.items()}


def _run_config(target: str) -> RunConfig | None:
    """Return the configuration of a run folder; None for anything else."""
    if not (Path(target) / CONFIG).is_file():
        return None
    from agentos.config.load import load

    return load(str(Path(target) / CONFIG))


def _encoders(directory: Path, agents: Sequence[int]) -> dict[str, str]:
    """Return the folders of a run's exported encoders, by agent."""
    folder = directory / "encoders"
    numbers = (path.name.removeprefix("agent-") for path in folder.glob("agent-*"))
    found = sorted(int(number) for number in numbers if number.isdecimal())
    if not found:
        raise RecordError(
            f"the run folder {directory} holds no exported encoder",
            expected=f"folders such as {folder / 'agent-0'}",
            actual="none",
            hint="let the run finish: encoders are saved at its end",
        )
    absent = sorted({*agents} - {*found})
    if absent:
        raise ConfigurationError(
            f"the run folder {directory} has no encoder of agent {absent[0]}",
            expected=f"one of {', '.join(map(str, found))}",
            actual=absent[0],
            hint="name another --agent",
        )
    return {f"agent-{n}": str(folder / f"agent-{n}") for n in agents or found}


def _heldout(data: str | None, run: RunConfig | None) -> HeldOut:
    """Return the documents to evaluate on."""
    if data is not None and Path(data).suffix in _SOURCES:
        return _documents(Path(data))
    if data is not None:
        from agentos.config.load import load

        run = _run_config(data) or load(data)
    from agentos.events import Listener
    from agentos.preparation import heldout_of, prepare_corpus

    assert run is not None  # a model without data has been refused
    return heldout_of(run, prepare_corpus(run, Listener()))


def _documents(path: Path) -> HeldOut:
    """Read a file of documents: a column ``text``, and ``label`` where there is one."""
    from agentos.evaluation.task_files import records, text_of

    texts, labels = [], []
    for where, record in records(path, ("text",)):
        texts.append(text_of(where, "text", record))
        labels.append(record.get("label"))
    missing = [i for i, label in enumerate(labels) if label is None]
    if missing and len(missing) < len(labels):
        raise DataError(
            f"{path}: some records have a label, and some have none",
            expected="a label for every record, or for none",
            actual=f"{len(missing)} of {len(labels)} without, record {missing[0] + 1} the first",
            hint="label them all, or take the column out",
        )
    return HeldOut(tuple(texts), None if missing else tuple(map(str, labels)))


def _default_tasks(run: RunConfig | None, heldout: HeldOut) -> dict[str, Task]:
    """Return the run's own tasks, or all that the documents suffice for."""
    if run is not None:
        return {task.kind: task for task in run.evaluation.tasks}
    tasks = {kind: parse_task(kind) for kind in ("probe", "knn", "clustering", "geometry")}
    return {kind: task for kind, task in tasks.items() if _suffices(task, heldout)}


def _suffices(task: Task, heldout: HeldOut) -> bool:
    try:
        task.check(heldout)
    except ConfigurationError:
        return False
    return True
