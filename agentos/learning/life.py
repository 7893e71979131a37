"""A life: a society learns one episode of a stream after another, and a gate decides on each update.

An episode is learnt as a whole or not at all: killed anywhere, a life goes on from the end of its last
finished episode, and its records are the same to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from agentos.events import Listener
from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import Curriculum, draw_up
from agentos.learning.episode_step import EpisodeStep
from agentos.learning.finished_run import encoder_digests
from agentos.learning.knowledge.society_knowledge import SocietyKnowledge
from agentos.learning.knowledge.storage.base_of_life import opened
from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
from agentos.learning.life_records import (
    EpisodeRecord,
    LifeRecord,
    branch,
    read_life,
    tidy,
    write_life,
)
from agentos.learning.outcome.accuracy_matrix import AccuracyMatrix
from agentos.learning.outcome.life_page import write_life_page
from agentos.learning.outcome.life_report import write_report
from agentos.learning.outcome.recorded_matrix import is_finished, matrix_of
from agentos.learning.streams import Folder
from agentos.records.atomic_files import writing
from agentos.records.identity.folder_lock import alone_in
from agentos.runtime import Session
from protocols.errors import ConfigurationError

Rows = NDArray[np.int64]


class LifeListener(Listener):
    """Receiver of a life's events; each method does nothing until it is overridden."""

    def on_episode(self, record: EpisodeRecord, episodes: int) -> None:
        """Handle the end of an episode, of so many."""


class Life:
    """A society that goes on learning: the Python entry point.

    Args:
        config: what to learn, how, and what lets updates in.
        out: folder of the records; a life that was interrupted there goes on.
        listener: receives the events of the life.
        address: address of a Ray cluster to join.
        cache: folder for prepared text.

    Example:
        >>> config = LifeConfig.model_validate({"from": "quickstart", "stream": "by_label"})
        >>> record = Life(config, "runs/life").run()  # doctest: +SKIP
        >>> matrix(record).final_accuracy  # doctest: +SKIP
    """

    def __init__(
        self,
        config: LifeConfig,
        out: str | Path,
        listener: LifeListener | None = None,
        address: str | None = None,
        cache: Path | None = None,
    ) -> None:
        self.config = config
        self.directory = Path(out)
        self.address = address
        self.cache = cache
        self._listener = listener or LifeListener()

    def run(self) -> LifeRecord:
        """Go through every episode that is left.

        Raises:
            ConfigurationError: the configuration, the text and the stream do not fit together.
            RecordError: the folder cannot be written to, or holds another life.
        """
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
        with alone_in(self.directory):
            files = self._files()
            curriculum = draw_up(self.config, self._listener, self.cache)
            record = read_life(self.directory, self._identity(curriculum))
            if isinstance(self.config.stream, Folder):
                self.config.stream.new_files(
                    record.files
                )  # refuses files that are not what they were
            found = {"seen": curriculum.seen, "files": files, "repeated": curriculum.repeated}
            record = record.model_copy(update=found)
            tidy(self.directory, record)
            if len(record.episodes) < len(curriculum.episodes):
                self._listener.on_stage("Starting hosts")
                runtime = curriculum.config.runtime
                with (
                    opened(self._base(), *progress(record), self._tables()) as base,
                    runtime.start(curriculum.blueprint, self.address) as session,
                ):
                    record = self._episodes(curriculum, session, record, base)
            elif record.files:  # the last may only repeat what had come
                write_life(self.directory, record)
            self._report(record, curriculum)
            return record

    def branch(self, origin: str | Path, after: int | None = None) -> LifeRecord:
        """Go on from another life, which stays as it is, under another gate, labeller or detector.

        Args:
            origin: folder of that life.
            after: its episodes to keep; None for all.

        Raises:
            RecordError: it cannot be branched off from there; see `agentos.learning.life_records.branch`.
        """
        curriculum = draw_up(self.config, self._listener, self.cache)
        branch(Path(origin), self.directory, self._identity(curriculum), after)
        return self.run()

    def follow(self, poll_s: float = 2.0) -> NoReturn:
        """Go through every episode, and those that new files in the stream's folder make, until interrupted.

        A new file is read once two looks at it, `poll_s` seconds apart, found the same content.

        Raises:
            ConfigurationError: the stream is no folder, or a file brings more labels than there is room for.
            DataError: a file that has been learnt has changed, or a new one comes before it by name.
        """
        stream = self.config.stream
        if not isinstance(stream, Folder):
            raise ConfigurationError(
                "only a folder can be followed",
                expected="stream.kind: folder",
                actual=stream.kind,
                hint="put the text into a folder, one file for each episode",
            )
        known: dict[str, str] = {}
        while True:
            self._listener.on_stage(f"Waiting for new files in {stream.path}")
            _await_files(stream, known, poll_s)
            known = self.run().files

    def _files(self) -> dict[str, str]:
        stream = self.config.stream
        return stream.new_files({}) if isinstance(stream, Folder) else {}

    def _report(self, record: LifeRecord, curriculum: Curriculum) -> None:
        write_report(self.directory, record, curriculum.names)
        write_life_page(self.directory, record, curriculum.names)

    def _identity(self, curriculum: Curriculum) -> dict[str, Any]:
        """Return all that the records depend on."""
        # `from` and `set` are resolved in `run`; where agents live changes no number.
        dumped = self.config.model_dump(mode="json", by_alias=True, serialize_as_any=True)
        life = {name: value for name, value in dumped.items() if name not in ("from", "set")}
        for name in ("knowledge", "use"):
            if life[name] is None:  # as lives that began before there were such fields
                del life[name]
        if "knowledge" in life:  # where tables lie changes no number
            del life["knowledge"]["tables"]
        run = curriculum.config.resolved()
        if self.config.begin_run is not None:  # its encoders count, wherever they are
            run = {**run, "agents": encoder_digests(curriculum.config)}
        return {
            **life,
            "run": {name: value for name, value in run.items() if name != "runtime"},
            **self._text(curriculum),
        }

    def _text(self, curriculum: Curriculum) -> dict[str, Any]:
        """Return what the records depend on of the text; files of a folder come one after another."""
        if isinstance(self.config.stream, Folder):
            return {"labels": curriculum.classes}
        return {"text": curriculum.corpus.text_digest}

    def _episodes(
        self,
        curriculum: Curriculum,
        session: Session,
        record: LifeRecord,
        base: KnowledgeBase | None,
    ) -> LifeRecord:
        for episode in curriculum.episodes[len(record.episodes) :]:
            knowledge = None if base is None else self._knowledge(curriculum, record, base)
            step = EpisodeStep(
                self.config, self.directory, curriculum, session, record, episode, knowledge
            )
            record = step.take(self._listener.on_stage)
            write_life(self.directory, record)
            self._report(record, curriculum)
            self._listener.on_episode(record.episodes[-1], len(curriculum.episodes))
        return record

    def _base(self) -> Path | None:
        known = self.config.knowledge
        return None if known is None else self.directory / known.path

    def _tables(self) -> str | None:
        return None if self.config.knowledge is None else self.config.knowledge.tables

    def _knowledge(
        self, curriculum: Curriculum, record: LifeRecord, base: KnowledgeBase
    ) -> SocietyKnowledge:
        assert self.config.knowledge is not None  # since there is a base
        known = record.episodes[-1].knowledge if record.episodes else None
        return SocietyKnowledge(
            self.config.knowledge,
            self.config.use,
            base,
            curriculum.texts(curriculum.corpus.anchors),
            curriculum.names,
            0.0 if known is None else known.weight,
        )


def progress(record: LifeRecord) -> tuple[int, int]:
    """Return the number of finished episodes, and the records of the knowledge base that they left."""
    known = record.episodes[-1].knowledge if record.episodes else None
    return len(record.episodes), 0 if known is None else known.records


def _await_files(stream: Folder, known: Mapping[str, str], poll_s: float) -> None:
    """Return once there are new files that are whole: the same at two looks."""
    last: dict[str, str] = {}
    while True:
        found = stream.new_files(known) if stream.names() - known.keys() else {}
        if found and found == last:
            return
        last = found
        time.sleep(poll_s)


def matrix(record: LifeRecord) -> AccuracyMatrix:
    """Return the accuracy matrix of a finished life.

    Raises:
        ConfigurationError: the life has episodes left.
    """
    if not is_finished(record):
        raise ConfigurationError(
            "the life is not finished",
            expected=f"{len(record.before)} episodes",
            actual=len(record.episodes),
            hint="let it go on first",
        )
    return matrix_of(record)
