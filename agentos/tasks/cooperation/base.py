"""Base of architectures: how the agents of a panel answer queries together.

Legend: Q queries, A agents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.tasks.cooperation.conversation import Conversation
from agentos.tasks.cooperation.panel import Panel, Queries
from agentos.tasks.cooperation.setting import Setting
from agents.answering import Answers, fit_fusion
from agents.answering.adapt import fold_rows
from agents.answering.answers import Labels
from agents.exchange.anchors.label_fusion import LabelFusion
from protocols.ledger import Ledger

CROSS_FOLDS = 5


@dataclass(frozen=True)
class Evidence:
    """Data that an architecture is fitted to, without the split ``test``.

    Attributes:
        fit: out-of-fold answers of each agent to the split ``fit``.
        fit_labels: their labels.
        calibrate: answers of each agent to the split ``calibrate``.
        calibrate_labels: their labels.
        fusion: how answers are fused.
        seed: the run's seed.
    """

    fit: tuple[Answers, ...]
    fit_labels: Labels
    calibrate: tuple[Answers, ...]
    calibrate_labels: Labels
    fusion: LabelFusion
    seed: int


@dataclass(frozen=True)
class Outcome:
    """The answers of a society, and what they cost.

    Attributes:
        answers: the decided probabilities.
        said: `[Q, A]`, see `Conversation.said`.
        flops, payload_bytes: `[Q]`, spent on each query.
        ledger: every delivery.
        simulated_s: simulated seconds of all queries, asked at once.
        lost: what went wrong, in words.
    """

    answers: Answers
    said: Labels
    flops: NDArray[np.float64]
    payload_bytes: NDArray[np.float64]
    ledger: Ledger
    simulated_s: float
    lost: tuple[str, ...]


class Architecture(ABC):
    """A fitted way to answer together; `answer` works in any runtime."""

    def answer(self, panel: Panel, queries: Queries, setting: Setting) -> Outcome:
        """Answer queries.

        Raises:
            HostLost: no agent is left to answer.
        """
        talk = Conversation(panel, queries, setting)
        answers = self.converse(talk)
        return Outcome(
            answers,
            talk.said,
            talk.flops,
            talk.payload_bytes,
            talk.ledger,
            talk.makespan_s,
            tuple(talk.lost),
        )

    def asked_first(self, panel: Panel) -> tuple[int, ...]:
        """Return agents that are asked about every query in any case: they can read at once."""
        return ()

    @abstractmethod
    def converse(self, talk: Conversation) -> Answers:
        """Return the decided answers to all queries of a conversation, in their order."""


def cross_fused(
    fusion: LabelFusion, answers: Sequence[Answers], labels: Labels, seed: int
) -> Answers:
    """Fuse out-of-fold answers, each by a fusion that was fitted without the text.

    What is learnt from fused answers, such as a deferral, must not see a fusion's answers to its examples.
    """
    first = answers[0]
    fused = np.empty_like(first.probabilities)
    counts = np.bincount(labels, minlength=first.classes)
    folds = int(min(CROSS_FOLDS, max(2, counts[counts > 0].min())))
    origins: tuple[str, ...] = ()
    for held in fold_rows(labels, folds, seed, "cross_fused"):
        rest = np.setdiff1d(np.arange(len(labels)), held)
        fitted = fit_fusion(fusion, [part(a, rest) for a in answers], labels[rest])
        found = fitted.fuse([part(a, held) for a in answers])
        fused[held], origins = found.probabilities, found.origins
    nowhere = np.zeros(len(labels), bool)
    return Answers(first.split, first.ids, fused, nowhere, nowhere, origins)


def part(answers: Answers, rows: Labels) -> Answers:
    """Return the answers to some of the texts."""
    return Answers(
        answers.split,
        answers.ids[rows],
        answers.probabilities[rows],
        answers.abstains[rows],
        answers.in_sample[rows],
        answers.origins,
    )


def about(answers: Answers, ids: Labels) -> Answers:
    """Return the answers to the given ids, in their order."""
    order = np.argsort(answers.ids, kind="stable")
    return part(answers, order[np.searchsorted(answers.ids, ids, sorter=order)])
