"""Fitted deferrals: scores by which texts are passed on, and the rule that a budget makes of them.

A score sees the probabilities of an answer and whether it is an abstention, nothing else: no label, no agent,
no origin. Only the control draws by the id of the text.

Legend: N texts, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Answers, Rows
from protocols.seeding import generator

ABSTAINED = 1e6
"""Added to the score of an abstention: it is passed on before any answer."""


class Scorer(ABC):
    """A fitted deferral without its threshold: the texts with the highest scores are passed on."""

    @abstractmethod
    def scores(self, answers: Answers) -> Rows:
        """Return scores `[N]`."""

    @abstractmethod
    def flops(self, classes: int) -> float:
        """Return the FLOPs of one score, approximately."""


@dataclass(frozen=True)
class DeferralRule:
    """A decision, text by text, whether the next agent is asked.

    Attributes:
        scorer: what is compared with the threshold.
        threshold: score above which a text is passed on.
        flops: FLOPs of one decision, approximately.
    """

    scorer: Scorer
    threshold: float
    flops: float

    def defers(self, answers: Answers) -> NDArray[np.bool_]:
        """Return whether each text is passed on `[N]`."""
        return urgency(self.scorer, answers) > self.threshold


def urgency(scorer: Scorer, answers: Answers) -> Rows:
    """Return scores `[N]`, those of abstentions above all others."""
    return scorer.scores(answers) + ABSTAINED * answers.abstains


@dataclass(frozen=True)
class DoubtScorer(Scorer):
    """One minus the probability of the best class."""

    def scores(self, answers: Answers) -> Rows:
        """Return how unsure each answer is."""
        rows: Rows = 1 - answers.probabilities.max(axis=1)
        return rows

    def flops(self, classes: int) -> float:
        """Return one comparison for each class."""
        return float(classes)


@dataclass(frozen=True)
class RandomScorer(Scorer):
    """A number drawn for each text by its id.

    Attributes:
        seed: of the draw.
    """

    seed: int

    def scores(self, answers: Answers) -> Rows:
        """Return numbers from 0 to 1, the same for a text in any batch."""
        drawn = [generator(self.seed, "answering", "defer", int(i)).random() for i in answers.ids]
        return np.array(drawn)

    def flops(self, classes: int) -> float:
        """Return the one comparison."""
        return 1.0
