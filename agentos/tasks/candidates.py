"""From a configuration to a plan: the task's texts, the library's models, and who does what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.rounds.clock.timing import timing_of
from agentos.tasks.library import Library, ModelCard, read_cards
from agentos.tasks.library.shelf import library_file, require_present
from agentos.tasks.plan_config import LibrarySection, PlanConfig, TaskSection
from agentos.tasks.planning import Candidate, Planner
from agentos.tasks.resemblance import resembling
from agentos.tasks.splits import SplitConfig, split_task
from agentos.tasks.work_plan import Worker, WorkPlan
from agents.answering import Examples
from protocols.errors import ConfigurationError, DataError
from protocols.seeding import generator


@dataclass(frozen=True)
class TaskTexts:
    """What a plan sees of a task.

    Attributes:
        classes: name of each class, in order.
        fit: texts to fit on.
        labels: class of each of them.
        asked: texts to answer; their labels are not read.
    """

    classes: tuple[str, ...]
    fit: tuple[str, ...]
    labels: NDArray[np.int64]
    asked: tuple[str, ...]


def task_texts(task: TaskSection, splits: SplitConfig, seed: int) -> TaskTexts:
    """Read a task, and draw its texts to fit on.

    Raises:
        DataError: a text has no label, or the source cannot be read.
        ConfigurationError: there are too few texts.
    """
    documents = list(task.source.documents())
    if bare := [document.id for document in documents if document.label is None]:
        raise DataError(
            "a task needs a label for each text",
            expected=f"{len(documents)} labels",
            actual=f"none for {len(bare)}, such as {bare[0]!r}",
            hint="name the column of the label in task.source.label",
        )
    texts = [document.text for document in documents]
    names = [str(document.label) for document in documents]
    parts = split_task(names, resembling(texts), splits, seed)
    classes, codes = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    fit = np.sort(
        np.concatenate([_shots(parts.fit, codes, c, task.shots, seed) for c in np.unique(codes)])
    )
    return TaskTexts(
        tuple(map(str, classes)),
        tuple(texts[row] for row in fit),
        codes[fit].astype(np.int64),
        tuple(texts[row] for row in parts.test),
    )


def _shots(
    rows: NDArray[np.int64], codes: NDArray[np.int64], label: int, shots: int | None, seed: int
) -> NDArray[np.int64]:
    mine = rows[codes[rows] == label]
    return generator(seed, "task", "shots", int(label)).permutation(mine)[:shots]


def library_of(section: LibrarySection) -> Library:
    """Return the models that a configuration names.

    Raises:
        ConfigurationError: there is none, a name stands twice, or a folder is gone.
    """
    kept = Library()
    if section.folder is not None:
        kept = Library.load(library_file(section.folder))
    kept = kept.add(card for path in (*section.runs, *section.models) for card in read_cards(path))
    if not kept.cards:
        raise ConfigurationError(
            "the library of the task is empty",
            expected="a run, a model, or a library folder",
            actual="none",
            hint="name some in `library.runs` or `library.models`",
        )
    require_present(kept)
    return kept


def candidates(cards: Sequence[ModelCard], task: TaskTexts, max_length: int) -> list[Candidate]:
    """Embed the texts to fit on with each model, and count the tokens of those to answer.

    Raises:
        ModelError: a model cannot be used, or has fewer positions than `max_length`.
    """
    return [_candidate(card, task, max_length) for card in cards]


def _candidate(card: ModelCard, task: TaskTexts, max_length: int) -> Candidate:
    loaded = LoadedEncoder.load(str(Path(card.path)), max_length=max_length)
    ids = loaded.tokenizer(list(task.asked), truncation=True, max_length=max_length)["input_ids"]
    lengths = np.array([len(each) for each in ids], np.int64)
    examples = Examples("fit", np.arange(len(task.fit)), loaded.embed(task.fit))
    return Candidate(Worker(card, lengths), examples)


def planned(config: PlanConfig, models: Sequence[Candidate], task: TaskTexts) -> WorkPlan:
    """Return the plan of a task.

    Raises:
        ConfigurationError: a class has too few texts, or a part is left without an agent.
    """
    planner = Planner(config.select, config.adapt, config.decompose, config.schedule, config.seed)
    agents = planner.chosen(models, task.labels)
    network = config.topology.build(len(agents), config.seed)
    timing = timing_of(config.clock, network, config.seed, {}, config.task.max_length)
    plan, _ = planner.plan(agents, task.labels, task.classes, timing)
    return plan
