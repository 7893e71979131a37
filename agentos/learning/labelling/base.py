"""Base of labellers: labels of texts that have none, where they are certain enough.

Legend: N texts, M calibration texts, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.learning.labelling.threshold import precise_threshold
from agents.answering import Answers
from agents.answering.answers import Labels, Rows, check_evidence
from protocols.spec import Spec


@dataclass(frozen=True)
class AutomaticLabels:
    """Labels of texts that had none.

    Attributes:
        labels: `[N]` int64, the most probable class of each.
        certain: `[N]` bool, whether the label is certain enough to be used.
        threshold: confidence that a label must exceed; None where no threshold is precise enough.
    """

    labels: Labels
    certain: NDArray[np.bool_]
    threshold: float | None

    @property
    def coverage(self) -> float:
        """Share of the texts that get a label."""
        return float(self.certain.mean()) if len(self.certain) else 0.0

    def precision(self, truth: Labels) -> float | None:
        """Return the share of the labels that are right, where the truth is known; None without labels."""
        if not self.certain.any():
            return None
        return float((self.labels == truth)[self.certain].mean())


class Labeller(Spec, ABC):
    """A way to label texts: the certain ones of the agents' opinions are used."""

    kind: str
    precision: float = Field(
        0.95, gt=0.0, lt=1.0, description="Share of the labels that must be right."
    )
    certainty: float = Field(
        0.95, gt=0.5, lt=1.0, description="Probability with which that share is reached."
    )

    @abstractmethod
    def opinion(self, answers: Sequence[Answers]) -> Rows:
        """Return the class probabilities that labels come from `[N, K]`; a row of zeros abstains."""

    def label(
        self, calibration: Sequence[Answers], truth_M: Labels, answers: Sequence[Answers]
    ) -> AutomaticLabels:
        """Label texts.

        Args:
            calibration: answers of each agent to labelled texts of the split ``calibrate``, which no agent
                was fitted on, and which come from the same source as the texts to label.
            truth_M: their labels.
            answers: answers of each agent to the texts to label.

        Raises:
            ConfigurationError: the calibration is of another split, or in-sample.
        """
        check_evidence(calibration, truth_M, "calibrate")
        known_MK, found_NK = self.opinion(calibration), self.opinion(answers)
        threshold = precise_threshold(
            known_MK.max(axis=1),
            known_MK.argmax(axis=1) == truth_M,
            found_NK.max(axis=1),
            self.precision,
            self.certainty,
        )
        confidence_N = found_NK.max(axis=1)
        limit = np.inf if threshold is None else threshold
        certain: NDArray[np.bool_] = confidence_N > limit
        return AutomaticLabels(found_NK.argmax(axis=1).astype(np.int64), certain, threshold)
