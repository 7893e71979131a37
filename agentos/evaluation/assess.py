"""Evaluation of encoders on disk: those that a run exported, or any model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.centering import MapFitter
from agentos.evaluation.clustering import Clustering
from agentos.evaluation.evaluator import Evaluator
from agentos.evaluation.geometry import Geometry
from agentos.evaluation.joint.joint_config import Panel
from agentos.evaluation.joint.joint_plan import JointPanels
from agentos.evaluation.knn import KNN
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.evaluation.probe import Probe
from agents.models.text_encoder import (
    CachedEmbeddings,
    EmbeddingMap,
    LabelScores,
    MappedEncoder,
    TextEncoder,
)
from protocols.errors import ConfigurationError, RecordError
from protocols.seeding import generator

JOINT = "joint"
"""Name of a joint embedding among the encoders of a run."""
DEFAULT_TASKS = (Probe, KNN, Clustering, Geometry)
"""Tasks that need no file."""


@dataclass(frozen=True)
class Documents:
    """Documents to evaluate on, and a description of their origin."""

    heldout: HeldOut
    origin: str


@dataclass(frozen=True)
class TrainingText:
    """Texts on which maps of embeddings are fitted, and the maps."""

    texts: tuple[str, ...]
    fitter: MapFitter

    def drawn(self, heldout: HeldOut, seed: int) -> TrainingText:
        """Return a sample of the texts, without those that encoders are evaluated on.

        Raises:
            ConfigurationError: fewer than two texts are left.
        """
        excluded = {*heldout.texts}
        usable = [text for text in dict.fromkeys(self.texts) if text not in excluded]
        if len(usable) < 2:
            raise ConfigurationError(
                "there is too little text to centre embeddings on",
                expected="at least 2 documents that are not evaluated on",
                actual=f"{len(usable)} of {len(self.texts)}",
                hint="name another file or run in --center-on",
            )
        order = generator(seed, "embedding maps").permutation(len(usable))
        return replace(self, texts=tuple(usable[i] for i in order[: self.fitter.documents]))


@dataclass(frozen=True)
class Assessment:
    """Results of several encoders on the same tasks and documents.

    Attributes:
        data: origin of the documents.
        documents: number of documents.
        labelled: whether they have labels.
        seed: seed of the tasks' random draws.
        metrics: metrics of each task, by the task's name; an encoder without a map lacks those of variants.
        encoders: name -> task -> metric -> value.
    """

    data: str
    documents: int
    labelled: bool
    seed: int
    metrics: dict[str, tuple[Metric, ...]]
    encoders: dict[str, dict[str, dict[str, float]]]

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "data": self.data,
            "documents": self.documents,
            "labelled": self.labelled,
            "seed": self.seed,
            "encoders": self.encoders,
        }


def assess(
    encoders: Iterable[tuple[str, TextEncoder]],
    tasks: Mapping[str, Task],
    documents: Documents,
    seed: int,
    training: TrainingText | None = None,
) -> Assessment:
    """Evaluate encoders, each on every task, plain and under the maps of its embeddings.

    Args:
        encoders: names and encoders, drawn one at a time, so that only one is in memory.
        tasks: tasks by the names under which results are reported.
        documents: documents to evaluate on.
        seed: seed of the tasks' random draws.
        training: text to fit maps on; None for those stored with each encoder, if any.

    Raises:
        ConfigurationError: a task cannot be computed on the documents, or there is no text to fit maps on.
        DataError: a file of a task is missing or malformed.
    """
    heldout = documents.heldout
    evaluators = {
        name: Evaluator((task,), heldout, seed).with_files() for name, task in tasks.items()
    }
    for evaluator in evaluators.values():
        evaluator.check()
    if training is not None:
        training = training.drawn(heldout, seed)
    scores, variants = {}, dict[str, None]()
    for name, encoder in encoders:
        plain, maps = _plain_with_maps(encoder, training)
        variants |= dict.fromkeys(maps)
        scores[name] = {
            task: _scores(evaluator, plain, maps) for task, evaluator in evaluators.items()
        }
    return Assessment(
        data=documents.origin,
        documents=len(heldout.texts),
        labelled=heldout.labels is not None,
        seed=seed,
        metrics={name: task.metrics_with(variants) for name, task in tasks.items()},
        encoders=scores,
    )


def _plain_with_maps(
    encoder: TextEncoder, training: TrainingText | None
) -> tuple[TextEncoder, Mapping[str, EmbeddingMap]]:
    """Return an encoder without the map of its folder, and the maps to evaluate it under."""
    stored: Mapping[str, EmbeddingMap] = {}
    if isinstance(encoder, LoadedEncoder):
        encoder, stored = encoder.plain, encoder.maps
    plain = CachedEmbeddings(encoder)
    if training is None:
        return plain, stored
    return plain, training.fitter(plain.embed(training.texts))


def _scores(
    evaluator: Evaluator, plain: TextEncoder, maps: Mapping[str, EmbeddingMap]
) -> dict[str, float]:
    scores = evaluator(plain)
    for variant, map in maps.items():
        scores |= evaluator.examine(MappedEncoder(plain, map), variant)[0]
    return scores


def loaded_encoders(
    folders: Mapping[str, str], max_length: int | None, progress: Callable[[str], None]
) -> Iterator[tuple[str, TextEncoder]]:
    """Load encoders one after another.

    Args:
        folders: folders by name; each a model folder, or a name in the local Hugging Face cache.
        max_length: tokens of a text; the folder's own if None.
        progress: called with a message before each encoder is loaded.

    Raises:
        ModelError: a folder or name is not a usable model.
    """
    for name, folder in folders.items():
        progress(f"Evaluating {name}")
        yield name, LoadedEncoder.load(folder, max_length=max_length)


def with_joint(
    encoders: Iterable[tuple[str, TextEncoder]], joint: JointPanels, agents: Sequence[int]
) -> Iterator[tuple[str, TextEncoder]]:
    """Yield the encoders of a run, then the joint encoders of some agents.

    All encoders stay in memory. Agents with one panel have one joint encoder, named after the first of them.

    Args:
        encoders: encoders by the name of the agent; those of the panels among them.
        joint: agents that answer together.
        agents: agents that ask; all if empty.
    """
    members: dict[str, TextEncoder] = {}
    for name, encoder in encoders:
        # As in a run, no part of a joint embedding is centred or whitened.
        plain = encoder.plain if isinstance(encoder, LoadedEncoder) else encoder
        members[name] = CachedEmbeddings(plain)
        yield name, encoder
    asking: dict[Panel, int] = {}
    for agent in agents or range(len(joint.panels)):
        asking.setdefault(joint.panels[agent], agent)
    for panel, agent in asking.items():
        name = JOINT if len(asking) == 1 else f"{JOINT} of agent-{agent}"
        chosen = [members[f"agent-{member}"] for member in panel]
        yield name, joint.encoder(panel, answers_of(chosen), votes_of(chosen))


def answers_of(
    encoders: Sequence[TextEncoder],
) -> Callable[[Sequence[str]], list[NDArray[np.float32]]]:
    """Return a function that embeds texts with each of several encoders."""
    return lambda texts: [encoder.embed(texts) for encoder in encoders]


def votes_of(
    encoders: Sequence[TextEncoder],
) -> Callable[[Sequence[str]], list[LabelScores | None]]:
    """Return a function that classifies texts with each of several encoders."""
    return lambda texts: [encoder.label_scores(texts) for encoder in encoders]


def exported_encoders(directory: Path, agents: Sequence[int]) -> dict[str, str]:
    """Return the folders of a run's exported encoders, by the name of the agent.

    Args:
        directory: the run folder.
        agents: whose encoders to return; all if empty.

    Raises:
        RecordError: the run exported no encoder.
        ConfigurationError: an agent has no encoder.
    """
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


def default_tasks(heldout: HeldOut) -> dict[str, Task]:
    """Return those of `DEFAULT_TASKS` that can be computed on the documents, by kind."""
    tasks = [task() for task in DEFAULT_TASKS]
    return {task.kind: task for task in tasks if _is_computable(task, heldout)}


def _is_computable(task: Task, heldout: HeldOut) -> bool:
    try:
        task.check(heldout)
    except ConfigurationError:
        return False
    return True
