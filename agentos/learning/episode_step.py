"""One episode of a life: label, learn, decide, measure."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import Curriculum
from agentos.learning.episode_knowledge import EpisodeKnowledge
from agentos.learning.episode_rounds import (
    Spent,
    as_answers,
    learn,
    load,
    probabilities,
    snapshot,
    society_answer,
)
from agentos.learning.gate import Evidence, ExamplePool, Gate, Verdict, review
from agentos.learning.knowledge.society_knowledge import SocietyKnowledge
from agentos.learning.labelling import AutomaticLabels
from agentos.learning.life_records import EpisodeRecord, LifeRecord, spent_fields, states_folder
from agentos.learning.outcome.episode_accuracies import Accuracies, accuracies_of
from agentos.learning.streams import Episode
from agentos.records.reports import RoundReport
from agentos.runtime import Session
from agentos.runtime.host_calls import Begin, EmbedTexts
from agents.answering import Answers
from agents.answering.answers import Split
from protocols.seeding import generator

Rows = NDArray[np.int64]
_SAMPLE = 500
"""Documents of each kind that novelty is measured on, at most."""
Outcome = Literal["first", "accept", "refuse", "ungated"]


class EpisodeStep:
    """One episode: label, learn, decide, measure.

    Args:
        config: the life.
        directory: folder of its records.
        curriculum: its episodes.
        session: hosts that are up.
        record: the life so far.
        episode: the episode to learn.
        knowledge: what the society knows; None if it keeps no knowledge base.
    """

    def __init__(
        self,
        config: LifeConfig,
        directory: Path,
        curriculum: Curriculum,
        session: Session,
        record: LifeRecord,
        episode: Episode,
        knowledge: SocietyKnowledge | None = None,
    ) -> None:
        self.config = config
        self.directory = directory
        self.curriculum = curriculum
        self.session = session
        self.record = record
        self.episode = episode
        self.known = EpisodeKnowledge(config, curriculum, session, episode, knowledge)
        self.accepted = record.states(directory)
        self.pool = pool_of(config.gate or Gate(), curriculum, record, episode.number)
        self.on_stage: Callable[[str], None] = lambda what: None

    def take(self, on_stage: Callable[[str], None]) -> LifeRecord:
        """Learn the episode; return the life with its record.

        Args:
            on_stage: called with what is under way.
        """
        self.on_stage = on_stage
        trained = np.setdiff1d(self.episode.labelled, self.known.held())
        labels = {int(row): int(self.curriculum.codes[row]) for row in trained}
        self._begin(labels)
        record = self.record
        if not record.before:
            record = record.model_copy(update={"before": self._tested().tests})
        in_force = self._tested_in_force()
        asked = self._to_ask()
        before = self._answers(asked)
        novel = self._novelty()
        automatic = self._label(labels)
        if automatic is not None and automatic.certain.any():
            self._begin(labels)
        spent = self._learn(labels)
        number = self.episode.number
        candidate = snapshot(self.session, states_folder(self.directory, number))
        verdict = self._decide(asked, before)
        accepted = verdict is None or verdict.accepted
        states = candidate if accepted or self.accepted is None else self.accepted
        last = record.episodes[-1] if record.episodes else None
        if accepted or last is None:
            found = self._tested()
            if self.known.society is not None:
                self._stage("writing claims")
            known = self.known.accept(found)
        else:
            found, known = in_force, last.knowledge
        episode = self._recorded(
            verdict,
            automatic,
            novel=novel,
            spent=spent_fields(spent),
            accuracies=found.tests,
            tests=tuple(len(each.test) for each in self.curriculum.episodes),
            accuracy_with_repeats=found.with_repeats,
            states=number if accepted or last is None else last.states,
            digests=states.digests,
            knowledge=known,
        )
        return record.model_copy(update={"episodes": (*record.episodes, episode)})

    def _learn(self, labels: dict[int, int]) -> Spent:
        """Take the society through its rounds, and let it state claims."""
        self._stage("learning")
        trains = self.accepted is None or self.config.learn.trains
        spent = learn(
            self.curriculum,
            self.session,
            self.curriculum.arm(),
            self.episode.number,
            self.accepted,
            self._on_round,
            self.curriculum.config.training.rounds if trains else 0,
        )
        if self.known.society is not None:
            self._stage("stating claims")
        return spent.plus_claims(*self.known.learn(labels, self._heads))

    def _recorded(
        self, verdict: Verdict | None, automatic: AutomaticLabels | None, **measured: Any
    ) -> EpisodeRecord:
        """Return the record of the episode, with the other fields as they were measured."""
        return EpisodeRecord(
            episode=self.episode.number,
            train=len(self.episode.train),
            labelled=len(self.episode.labelled),
            automatic=0 if automatic is None else int(automatic.certain.sum()),
            coverage=None if automatic is None else automatic.coverage,
            precision=None if automatic is None else automatic.precision(self._truth()),
            outcome=self._outcome(verdict),
            reasons=() if verdict is None else verdict.reasons,
            gate_used=tuple(self.pool.used),
            gain=None if verdict is None else verdict.gain,
            p_value=None if verdict is None else verdict.p_value,
            **measured,
        )

    def _outcome(self, verdict: Verdict | None) -> Outcome:
        if verdict is not None:
            return "accept" if verdict.accepted else "refuse"
        return "first" if self.accepted is None else "ungated"

    def _stage(self, what: str) -> None:
        total = len(self.curriculum.episodes)
        self.on_stage(f"Episode {self.episode.number + 1} of {total}: {what}")

    def _on_round(self, report: RoundReport) -> None:
        self._stage(f"round {report.round} of {report.rounds}")

    def _begin(self, labels: dict[int, int]) -> None:
        """Have hosts hold the accepted society, with the documents of this episode."""
        members = self.curriculum.members(self.episode, labels)
        self.session.build(replace(self.curriculum.blueprint, members=members))
        self.session.call_all(Begin(self.curriculum.arm()))
        if self.accepted is not None:
            load(self.session, self.accepted)

    def _answers(self, rows: Rows) -> dict[int, int]:
        """Return the society's answer to some documents, by row."""
        if not len(rows):
            return {}
        found = society_answer(self._probabilities(rows))
        return dict(zip(rows.tolist(), found.tolist(), strict=True))

    def _tested(self) -> Accuracies:
        self._stage("testing")
        return accuracies_of(self.curriculum, self._heads, self.known.mixed)

    def _tested_in_force(self) -> Accuracies:
        """Return the accuracies of the accepted society: those recorded last, unless more tests have come."""
        recorded = Accuracies.recorded(self.record.episodes[-1] if self.record.episodes else None)
        grown = len(recorded.tests) < len(self.curriculum.episodes)
        if self.accepted is None or self.config.gate is None or not grown:
            return recorded
        return self._tested()

    def _novelty(self) -> float | None:
        """Return the share of the episode's training documents that are novel to the first agent.

        What is known, and what calibrates, are gate and test documents of earlier episodes: like the new ones
        they have not been trained on, so that a stream that does not change gives no more false alarms than
        stated.
        """
        config, number = self.config.novelty, self.episode.number
        if config is None or self.accepted is None:
            return None
        self._stage("looking for what is novel")
        earlier = self.curriculum.episodes[:number]
        rng = generator(self.curriculum.config.seed, "life", "novelty", number)
        held = rng.permutation(np.concatenate([r for e in earlier for r in (e.gate, e.test)]))
        parts = (
            *np.array_split(held[: 2 * _SAMPLE], 2),
            rng.permutation(self.episode.train)[:_SAMPLE],
        )
        texts = self.curriculum.texts(np.concatenate(parts))
        agent = min(self.session.placement)
        calls = {self.session.placement[agent]: EmbedTexts(texts, (agent,))}
        rows = self.session.ask(calls)[agent]
        known, calibration, new = np.split(rows, np.cumsum([len(part) for part in parts])[:-1])
        return float(config.fit(known, calibration).novel(new).mean())

    def _unlabelled(self) -> Rows:
        return np.setdiff1d(self.episode.train, self.episode.labelled, assume_unique=True)

    def _truth(self) -> Rows:
        return self.curriculum.codes[self._unlabelled()]

    def _label(self, labels: dict[int, int]) -> AutomaticLabels | None:
        """Label documents by the accepted society; add the certain labels to `labels`."""
        labeller, states = self.config.label, self.accepted
        if labeller is None or states is None:
            return None
        self._stage("labelling")
        known, rows = self.episode.labelled, self._unlabelled()
        calibration = self._opinions(known, "calibrate", states.digests)
        found = self._opinions(rows, "query", states.digests)
        automatic = labeller.label(calibration, self.curriculum.codes[known], found)
        certain = automatic.certain
        labels |= dict(zip(rows[certain].tolist(), automatic.labels[certain].tolist(), strict=True))
        return automatic

    def _opinions(self, rows: Rows, split: Split, origins: dict[int, str]) -> list[Answers]:
        return as_answers(self._probabilities(rows), rows, split, origins)

    def _probabilities(self, rows: Rows) -> dict[int, NDArray[np.float64]]:
        return self.known.mixed(self._heads(rows), rows)

    def _heads(self, rows: Rows) -> dict[int, NDArray[np.float64]]:
        texts, classes = self.curriculum.texts(rows), self.curriculum.classes
        return probabilities(self.session, texts, self.config.head, classes)

    def _to_ask(self) -> Rows:
        """Return the examples that the gate may come to ask about, which depends on no answer."""
        gate = self.config.gate
        if gate is None or self.accepted is None:
            return np.zeros(0, np.int64)
        pool = copy.deepcopy(self.pool)
        taken: list[int] = []
        for _ in range(gate.looks):
            taken.extend(pool.draw(gate.batch, taken).tolist())
        return np.array(taken, np.int64)

    def _decide(self, asked: Rows, before: dict[int, int]) -> Verdict | None:
        """Let the gate decide; None where there is no gate, or nothing to compare with."""
        gate = self.config.gate
        if gate is None or self.accepted is None:
            return None
        self._stage("deciding")
        after = self._answers(asked)
        codes = self.curriculum.codes
        episode_of = {
            int(row): episode.number for episode in self.curriculum.episodes for row in episode.gate
        }

        def ask(rows: Rows) -> Evidence:
            return Evidence(
                np.array([before[int(row)] == codes[row] for row in rows]),
                np.array([after[int(row)] == codes[row] for row in rows]),
                codes[rows],
                np.array([episode_of[int(row)] for row in rows], np.int64),
                self.curriculum.names,
            )

        return review(gate, self.pool, ask, self.episode.number)


def pool_of(gate: Gate, curriculum: Curriculum, record: LifeRecord, number: int) -> ExamplePool:
    """Return the gate's examples up to an episode, without those that earlier decisions used."""
    pool = ExamplePool(curriculum.config.seed, fresh=gate.examples == "fresh")
    for episode in curriculum.episodes[: number + 1]:
        pool.add(episode.number, episode.gate)
    if record.episodes:
        pool.used = list(record.episodes[-1].gate_used)
    return pool
