"""Answers of an agent's own classifier, which a few labels of its own have trained.

Shapes: N documents, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.classification import classification_metrics, classification_scores
from agentos.evaluation.label_split import check_labels
from agents.models.text_encoder import TextEncoder
from protocols.errors import ConfigurationError


class OwnLabels(Task):
    """Own labels: accuracy, F1 and calibration of each agent's own classifier.

    The classifier is the head of the objective ``labelled``; nothing is fitted here, and every
    held-out document is a test. The expected calibration error is the mean difference between confidence and
    accuracy over bins of equal width, weighted by the documents in each.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, for the calibration error.
    """

    needs_labels: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        *classification_metrics("own_labels", "the agent's own classifier"),
        Metric(
            name="own_labels_calibration_error",
            label="Own-labels calibration error",
            higher_is_better=False,
            help="Mean difference between the confidence of the agent's own classifier and its accuracy.",
            percent=True,
            minor=True,
        ),
    )

    kind: Literal["own_labels"] = "own_labels"
    bins: int = Field(
        default=15, ge=2, le=1000, description="bins of confidence for the calibration error"
    )

    def check(self, heldout: HeldOut) -> None:
        """Refuse held-out text without labels, or with fewer than two labels of two documents."""
        check_labels(self.kind, heldout)

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return the six metrics, all in [0, 1].

        Raises:
            ConfigurationError: the encoder has no classifier.
        """
        scores = encoder.label_scores(heldout.texts)
        if scores is None:
            raise ConfigurationError(
                f"The evaluation task {self.kind!r} needs a classifier, and the encoder has none",
                expected="an encoder trained with the objective labelled",
                hint=f"add it to objectives, or take {self.kind} out of evaluation.tasks",
            )
        truth = heldout.labels or ()
        guess = [scores.names[code] for code in scores.probabilities.argmax(axis=1)]
        right_N = np.array([a == b for a, b in zip(truth, guess, strict=True)])
        values = classification_scores(truth, guess)
        return {
            **{f"own_labels_{name}": value for name, value in values.items()},
            "own_labels_calibration_error": calibration_error(
                scores.probabilities.max(axis=1), right_N, self.bins
            ),
        }


def calibration_error(
    confidence_N: NDArray[np.float64], right_N: NDArray[np.bool_], bins: int
) -> float:
    """Return the expected calibration error.

    Example:
        >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False]), 10)
        0.05
    """
    index_N = np.minimum((confidence_N * bins).astype(int), bins - 1)
    gaps = np.bincount(index_N, weights=confidence_N - right_N, minlength=bins)
    return round(float(np.abs(gaps).sum() / len(confidence_N)), 12)
