"""Elders: the encoders that a run or a life has left, their text, and what they reached on which tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import load
from agentos.config.run import RunConfig
from agentos.data.corpus import Corpus
from agentos.evaluation import Evaluator, Probe
from agentos.evaluation.base import Task
from agentos.evaluation.loaded_encoder import LoadedEncoder
from agentos.events import Listener
from agentos.learning.curriculum import divided
from agentos.learning.life_records import LIFE, LifeRecord, load_life_record
from agentos.learning.streams import STREAMS, Folder
from agentos.records.atomic_files import require_inside
from agentos.records.layout import CONFIG, ENCODERS, agent_number
from agentos.records.reader import RunRecord, load_run
from agentos.records.saved_encoders import find_encoder
from agentos.simulation.preparation import heldout_of, prepare_corpus
from protocols.errors import ConfigurationError, DataError


@dataclass(frozen=True)
class Society:
    """The teachers that a finished run, or a life so far, leaves to a new agent.

    Attributes:
        config: its run.
        corpus: its text: train, anchors, and what it never learnt from.
        encoders: the saved encoder of each agent.
        tokens: tokens that an agent has trained on, in the mean.
        rounds: rounds that it has taken.
        scores: mean of each metric of the run over its agents; empty for a life, which measures no such.
    """

    config: RunConfig
    corpus: Corpus
    encoders: Sequence[Path]
    tokens: float
    rounds: int
    scores: Mapping[str, float]

    @property
    def is_life(self) -> bool:
        """Return whether its text is divided as a stream, which its configuration alone does not tell."""
        return not self.scores

    def measured(self, tasks: Sequence[Task]) -> Mapping[str, float]:
        """Return the mean of each metric over its agents."""
        if self.scores:
            return self.scores
        heldout = heldout_of(self.config, self.corpus)
        evaluator = Evaluator(tuple(tasks), heldout, self.config.seed).with_files()
        found = [evaluator(LoadedEncoder.load(str(each)).plain) for each in self.encoders]
        return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def society_of(folder: Path, listener: Listener, cache: Path | None = None) -> Society:
    """Return the society in the folder of a run or of a life.

    Raises:
        ConfigurationError: it is not finished, or saved no encoders.
        RecordError: it is damaged.
        DataError: its text cannot be read, or is not what it was.
    """
    if (folder / LIFE).is_file():
        return _of_life(folder, listener, cache)
    summary = _summary(load_run(folder))
    before = load(str(folder / CONFIG))
    return Society(
        config=before,
        corpus=prepare_corpus(before, listener, cache),
        encoders=encoders_in(folder),
        tokens=summary[1] / before.agents.total,
        rounds=before.training.rounds,
        scores=summary[0],
    )


def encoders_in(run: Path) -> list[Path]:
    """Return the folder of every encoder that a run saved.

    Raises:
        ConfigurationError: it saved none.
    """
    find_encoder(run)  # says what is missing
    return _numbered(run / ENCODERS)


def _of_life(folder: Path, listener: Listener, cache: Path | None) -> Society:
    require_inside(folder)
    record = load_life_record(folder)
    states = record.states(folder)
    encoders = [] if states is None else _numbered(states.folder / ENCODERS)
    if not encoders:
        raise ConfigurationError(
            f"the life in {folder} has saved no encoders",
            expected="one finished episode or more",
            actual=f"{len(record.episodes)}, without encoders",
            hint="let it go on first; one of an earlier version must be learnt again",
        )
    config = _config_of(folder, record)
    trained = sum(each.spent["tokens"] > 0 for each in record.episodes)
    return Society(
        config=config,
        corpus=_corpus_of(folder, record, config, listener, cache),
        encoders=encoders,
        tokens=sum(each.spent["tokens"] for each in record.episodes) / len(encoders),
        rounds=trained * config.training.rounds,
        scores={},
    )


def _config_of(folder: Path, record: LifeRecord) -> RunConfig:
    """Return the run of a life, with a probe among its tasks: its text has labels."""
    values = {**record.config["run"], "runtime": "local"}  # a life does not record where it lived
    if isinstance(values["agents"], list):  # digests of the encoders of a run that it began from
        values["agents"] = {"count": len(values["agents"])}
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise InvalidConfiguration(str(folder / LIFE), explain(error, RunConfig)) from error
    tasks = config.evaluation.tasks
    if not any(task.kind == "probe" for task in tasks):
        evaluation = config.evaluation.model_copy(update={"tasks": (*tasks, Probe())})
        config = config.model_copy(update={"evaluation": evaluation})
    return config


def _corpus_of(
    folder: Path, record: LifeRecord, config: RunConfig, listener: Listener, cache: Path | None
) -> Corpus:
    """Return the text of the episodes so far: what they trained on, anchors, and what only measured."""
    values = record.config["stream"]
    if values["kind"] not in STREAMS:
        raise ConfigurationError(
            f"the life in {folder} has a stream of a kind that is not known here",
            expected=", ".join(STREAMS),
            actual=values["kind"],
            hint="only lives with a stream of these kinds can be handed on",
        )
    stream = STREAMS[values["kind"]].model_validate(values)
    division = divided(config, stream, listener, cache)
    if isinstance(stream, Folder):
        stream.new_files(record.files)  # refuses files that are not what they were
    elif division.whole.text_digest != record.config["text"]:
        raise DataError(
            f"the text of the life in {folder} is not what it was",
            expected=f"text with the digest {record.config['text']}",
            actual=division.whole.text_digest,
            hint="restore data.source",
        )
    episodes = division.episodes[: len(record.episodes)]
    train, heldout = (
        np.sort(np.concatenate(parts))
        for parts in ([e.train for e in episodes], [e.test for e in episodes])
    )
    sizes = {"train": len(train), "anchors": len(division.anchors), "heldout": len(heldout)}
    return replace(
        division.whole,
        train=train,
        anchors=division.anchors,
        heldout=heldout,
        shards=(train,),
        names=("agent-0",),
        counts={**division.whole.counts, **sizes},
        labelled=(),
    )


def _numbered(folder: Path) -> list[Path]:
    """Return the folders of agents in a folder, by number."""
    numbers = {agent_number(path.name): path for path in folder.glob("agent-*")}
    return [numbers[n] for n in sorted(n for n in numbers if n is not None)]


def _summary(record: RunRecord) -> tuple[dict[str, float], float]:
    """Return the elders' mean of each metric, and the tokens that all of them trained on.

    Raises:
        ConfigurationError: the run is not finished.
    """
    summary = record.summary or {}
    means, tokens = summary.get("mean"), summary.get("tokens")
    if not isinstance(means, dict) or not isinstance(tokens, int):
        raise ConfigurationError(
            f"the run in {record.directory} is not finished",
            expected="a summary with what its agents reached",
            hint="continue it with agentos resume",
        )
    return {str(name): float(value) for name, value in means.items()}, float(tokens)
