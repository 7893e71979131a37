"""A stream learnt from its first episode to its last, measured with both heads after every episode.

The encoders do not depend on which head answers: the ridge regression takes no part in training. So one life
measures a learner with either.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.learning.config import LifeConfig
from agentos.learning.curriculum import Curriculum, draw_up
from agentos.learning.episode_rounds import (
    Spent,
    States,
    learn,
    probabilities,
    society_answer,
)
from agentos.learning.life import LifeListener
from agentos.learning.streams import Episode
from agentos.rounds.base import save_states
from agentos.runtime import Session
from agentos.runtime.host_calls import Begin
from protocols.spec import Spec

Head = Literal["trained", "ridge"]
HEADS: tuple[Head, ...] = ("trained", "ridge")
Rows = tuple[tuple[float, ...], ...]


class Measured(Spec):
    """Accuracies and costs of one learner under one seed.

    Attributes:
        values: for each head `[E, E]`, accuracy after each episode on the test of each, or of those so far.
        before: for each head `[E]`, of the untrained society; empty where tests are of the episodes so far.
        spent: sums over episodes, and `memory_bytes` after the last; see `Spent`.
    """

    values: dict[str, Rows] = Field(description="By head.")
    before: dict[str, tuple[float, ...]] = Field(description="By head.")
    spent: dict[str, int] = Field(description="By name.")


def measure(
    life: LifeConfig,
    rounds: Mapping[bool, int] | None = None,
    heads: Sequence[Head] = HEADS,
    ahead: bool = True,
) -> Measured:
    """Let a society learn a whole stream without a gate, and measure it.

    Args:
        life: the life; its head must be ridge, so that there are both.
        rounds: rounds of an episode, that of the first under True; those of the run if None.
        heads: heads that answer.
        ahead: whether tests of later episodes are answered too.
    """
    curriculum = draw_up(life, LifeListener())
    values: dict[str, list[tuple[float, ...]]] = {head: [] for head in heads}
    before: dict[str, tuple[float, ...]] = {}
    costs: list[Spent] = []
    runtime = curriculum.config.runtime
    with tempfile.TemporaryDirectory() as folder, runtime.start(curriculum.blueprint) as session:
        states: States | None = None
        for episode in curriculum.episodes:
            first = states is None
            arm = curriculum.arm()
            labels = {int(row): int(curriculum.codes[row]) for row in episode.labelled}
            members = curriculum.members(episode, labels)
            session.build(replace(curriculum.blueprint, members=members))
            session.call_all(Begin(arm))
            if first:
                asked = curriculum.episodes if ahead else ()
                before = {head: _accuracies(curriculum, session, head, asked) for head in heads}
            own = curriculum.config.training.rounds if rounds is None else rounds[first]
            taken = own if first or life.learn.trains else 0
            spent = learn(
                curriculum, session, arm, episode.number, states, lambda report: None, taken
            )
            costs.append(spent)
            states = _kept(session, Path(folder) / f"states-{episode.number}")
            asked = curriculum.episodes[: None if ahead else len(costs)]
            for head in heads:
                values[head].append(_accuracies(curriculum, session, head, asked))
    return Measured(
        values={head: tuple(rows) for head, rows in values.items()},
        before=before,
        spent={
            "tokens": sum(each.tokens for each in costs),
            "message_bytes": sum(each.message_bytes for each in costs),
            "memory_bytes": costs[-1].memory_bytes,
        },
    )


def _kept(session: Session, folder: Path) -> States:
    """Write the states of all agents into a folder."""
    folder.mkdir()
    return States(folder, save_states(session, folder))


def _accuracies(
    curriculum: Curriculum, session: Session, head: Head, asked: Sequence[Episode]
) -> tuple[float, ...]:
    """Return the society's accuracy on the test of each of some episodes."""
    if not asked:
        return ()
    tests = [episode.test for episode in asked]
    rows: NDArray[np.int64] = np.concatenate(tests)
    found = probabilities(session, curriculum.texts(rows), head, curriculum.classes)
    right = society_answer(found) == curriculum.codes[rows]
    cuts = np.cumsum([len(test) for test in tests])[:-1]
    return tuple(float(part.mean()) for part in np.split(right, cuts))
