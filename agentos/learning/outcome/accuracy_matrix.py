"""Accuracy of a model on the test of every episode, after every episode, and what follows from it.

Legend: E episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigurationError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class AccuracyMatrix:
    """Accuracies of a model that learns E episodes one after another.

    Sources: Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual Learning, 2017, for the transfers;
    De Lange et al., Continual Evaluation for Lifelong Learning, 2023, for the minimum and the worst case.

    Attributes:
        values: `[E, E]`, row i after learning episode i, column j on the test of episode j. NaN above the
            diagonal: the test had not come yet.
        before: `[E]`, of the model before it learns anything; NaN likewise.

    Example:
        >>> matrix = AccuracyMatrix(np.array([[0.9, 0.2], [0.7, 0.8]]), np.array([0.1, 0.1]))
        >>> matrix.final_accuracy, round(matrix.backward_transfer, 3), round(matrix.forward_transfer, 3)
        (0.75, -0.2, 0.1)
    """

    values: Matrix
    before: Matrix

    def __post_init__(self) -> None:
        """Refuse a matrix that is not square, or holds numbers outside 0 to 1."""
        episodes = len(self.values)
        if self.values.shape != (episodes, episodes) or self.before.shape != (episodes,):
            raise ConfigurationError(
                "the accuracies are not of every episode after every episode",
                expected="[E, E] accuracies, and [E] before",
                actual=f"{self.values.shape} and {self.before.shape}",
                hint="test the model on every episode after each, and once before the first",
            )
        later = np.triu_indices(episodes, k=1)
        known = np.concatenate([self.values.ravel(), self.before])
        known = known[~np.isnan(known)]
        if np.isnan(self.values).sum() > np.isnan(self.values[later]).sum():
            raise ConfigurationError(
                "an accuracy after its episode is missing",
                expected="accuracies on and below the diagonal",
                actual="NaN",
                hint="test the model on each episode from then on",
            )
        if not ((known >= 0) & (known <= 1)).all():
            raise ConfigurationError(
                "an accuracy is not a share",
                expected="numbers from 0 to 1",
                actual=f"{known.min()} to {known.max()}",
                hint="divide the right answers by all",
            )

    @property
    def final_accuracy(self) -> float:
        """Mean over all episodes after the last one."""
        return float(self.values[-1].mean())

    @property
    def backward_transfer(self) -> float:
        """Mean change of earlier episodes since they were learnt; negative if they were forgotten.

        0 where there is one episode.
        """
        if len(self.values) < 2:
            return 0.0
        return float((self.values[-1] - self.values.diagonal())[:-1].mean())

    @property
    def forward_transfer(self) -> float:
        """Mean gain on later episodes just before they are learnt; 0 where there is one episode.

        NaN where a test came together with its episode.
        """
        if len(self.values) < 2:
            return 0.0
        return float((self.values.diagonal(offset=1) - self.before[1:]).mean())

    @property
    def minimum_accuracy(self) -> float:
        """Mean over earlier episodes of the lowest accuracy after they were learnt (min-ACC).

        The lowest on the way, so that a model that forgets and recovers is told from one that keeps. With one
        episode, its accuracy.
        """
        if len(self.values) < 2:
            return self.final_accuracy
        lowest = [self.values[j + 1 :, j].min() for j in range(len(self.values) - 1)]
        return float(np.mean(lowest))

    @property
    def worst_case_accuracy(self) -> float:
        """Accuracy of the last episode and the lowest of the earlier ones, each by its share (WC-ACC)."""
        share = 1 / len(self.values)
        return float(share * self.values[-1, -1] + (1 - share) * self.minimum_accuracy)

    def summary(self) -> dict[str, float]:
        """Return every figure by name."""
        return {
            "final_accuracy": self.final_accuracy,
            "backward_transfer": self.backward_transfer,
            "forward_transfer": self.forward_transfer,
            "minimum_accuracy": self.minimum_accuracy,
            "worst_case_accuracy": self.worst_case_accuracy,
        }
