"""A plan from a configuration: the task's texts, the library's models, and who does what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.rounds.clock.timing import timing_of
from agentos.tasks.config import Auto, Task
from agentos.tasks.decomposition import Undivided
from agentos.tasks.library import ModelCard
from agentos.tasks.planning.part_work import Worker
from agentos.tasks.planning.plan_of_task import Candidate, Planner
from agentos.tasks.planning.work_plan import WorkPlan
from agentos.tasks.solving.workbench import Bench
from agents.answering import Examples
from protocols.topologies.master_slave import MasterSlave


@dataclass(frozen=True)
class TaskTexts:
    """The texts of a task as a plan sees them.

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


def task_texts(task: Task) -> TaskTexts:
    """Read a task, and draw its texts to fit on.

    Raises:
        DataError: the source cannot be read.
        ConfigurationError: a text has no label, or there are too few texts.
    """
    bench = Bench.of(task)
    fit, asked = (
        tuple(" ".join(texts) for texts in bench.texts(bench.rows(split)))
        for split in ("fit", "test")
    )
    return TaskTexts(bench.classes, fit, bench.codes[bench.rows("fit")], asked)


def candidates(cards: Sequence[ModelCard], task: TaskTexts, max_length: int) -> list[Candidate]:
    """Embed the texts to fit on with each model, and count the tokens of those to answer.

    Raises:
        ModelError: a model cannot be used, or has fewer positions than `max_length`.
    """
    return [_candidate(card, task, max_length) for card in cards]


def _candidate(card: ModelCard, task: TaskTexts, max_length: int) -> Candidate:
    loaded = LoadedEncoder.load(str(Path(card.path)), max_length=max_length)
    examples = Examples("fit", np.arange(len(task.fit)), loaded.embed(task.fit))
    width = int(examples.embeddings.shape[1])
    lengths = loaded.token_counts(task.asked)
    return Candidate(Worker(card, lengths, max_length, width, len(task.fit)), examples)


def planned(config: Task, models: Sequence[Candidate], task: TaskTexts) -> WorkPlan:
    """Return the plan of a task.

    Raises:
        ConfigurationError: a class has too few texts, or a part is left without an agent.
    """
    planner = Planner(
        *(config.select, config.adapt, config.decompose, config.schedule, config.seed, config.name)
    )
    agents = planner.chosen(models, task.labels)
    wanted = MasterSlave() if isinstance(config.topology, Auto) else config.topology
    network = wanted.build(len(agents), config.seed)
    if not isinstance(config.decompose, Undivided) and network.family != "master_slave":
        network = MasterSlave().build(len(agents), config.seed)  # as `solve` hands parts out
    timing = timing_of(config.clock, network, config.seed, {}, config.task.max_length)
    plan, _ = planner.plan(agents, task.labels, task.classes, timing)
    return plan
