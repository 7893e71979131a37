"""Deferral: which answers of a small agent are worth asking a larger one about.

A deferral is fitted on ``fit``, its threshold meets a budget on ``calibrate``; nothing is chosen on ``test``.

Legend: N texts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.answers import Answers, Labels, check_evidence
from agents.answering.scorers import (
    DeferralRule,
    DoubtScorer,
    RandomScorer,
    Scorer,
    urgency,
)
from protocols.errors import ConfigurationError
from protocols.spec import Spec


class Deferral(Spec, ABC):
    """A way to score which texts are passed on to the next agent."""

    kind: str
    budget: float = Field(
        0.4,
        ge=0.0,
        le=1.0,
        description="Largest share of the texts that reach a level which it passes on.",
    )

    @abstractmethod
    def fit(self, this: Answers, following: Answers, labels: Labels, seed: int) -> Scorer:
        """Fit a scorer; `fit_deferral` has checked the answers.

        Args:
            this: out-of-fold answers of the agent that decides.
            following: out-of-fold answers of the next agent, to the same texts.
            labels: `[N]`.
            seed: of random scores.
        """


class Confidence(Deferral):
    """Confidence: pass on the answers whose best class is least probable."""

    kind: Literal["confidence"] = "confidence"

    def fit(self, this: Answers, following: Answers, labels: Labels, seed: int) -> DoubtScorer:
        """Return the scorer, which learns nothing."""
        return DoubtScorer()


class Random(Deferral):
    """Random: the control, which passes on texts drawn by lot."""

    kind: Literal["random"] = "random"

    def fit(self, this: Answers, following: Answers, labels: Labels, seed: int) -> RandomScorer:
        """Return the scorer, which learns nothing."""
        return RandomScorer(seed)


DEFERRALS: dict[str, type[Deferral]] = {
    "confidence": Confidence,
    "random": Random,
}


def fit_deferral(
    deferral: Deferral, this: Answers, following: Answers, labels: Labels, seed: int = 0
) -> Scorer:
    """Fit a deferral to out-of-fold answers to the split ``fit``; see `Deferral.fit`.

    Raises:
        ConfigurationError: the answers must not be learnt from.
    """
    check_evidence((this, following), labels, "fit")
    return deferral.fit(this, following, labels, seed)


def calibrate(scorer: Scorer, answers: Answers, labels: Labels, budget: float) -> DeferralRule:
    """Set the threshold so that at most a share of the texts of the split ``calibrate`` is passed on.

    Args:
        scorer: a fitted deferral.
        answers: the answers of the agent that decides, to texts that it was not fitted on.
        labels: `[N]`.
        budget: largest share of texts to pass on, from 0 to 1.

    Raises:
        ConfigurationError: the answers are in-sample or of another split, or the budget is not a share.
    """
    if not 0 <= budget <= 1:
        raise ConfigurationError(
            "the budget of a deferral is not a share",
            expected="0 to 1",
            actual=budget,
            hint="give the share of texts that may be passed on",
        )
    check_evidence((answers,), labels, "calibrate")
    descending = np.sort(urgency(scorer, answers))[::-1]
    allowed = int(np.floor(budget * len(descending) + 1e-9))
    if allowed == 0:
        threshold = np.inf
    else:
        threshold = -np.inf if allowed == len(descending) else float(descending[allowed])
    return DeferralRule(scorer, threshold, scorer.flops(answers.classes))


def oracle(this: Answers, following: Answers, labels: Labels, budget: float) -> NDArray[np.bool_]:
    """Return the best texts to pass on `[N]`, for a line in a picture: it knows every label.

    No `Deferral` of this kind exists, and no rule can be made of it.
    """
    gain = following.right(labels).astype(np.int64) - this.right(labels)
    allowed = int(np.floor(budget * len(gain) + 1e-9))
    chosen = np.argsort(-gain, kind="stable")[:allowed]
    defers = np.zeros(len(gain), bool)
    defers[chosen] = gain[chosen] > 0
    return defers
