"""The quality of answers to labelled texts.

Shapes: Q queries, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentos.evaluation.own_labels import calibration_error

BINS = 10


class Scores(NamedTuple):
    """Quality of answers, each in [0, 1].

    Attributes:
        accuracy: share of right answers.
        macro_f1: mean over the classes.
        calibration_error: expected calibration error, in ten bins; lower is better.
    """

    accuracy: float
    macro_f1: float
    calibration_error: float


def score(probabilities_QK: NDArray[np.float64], codes_Q: NDArray[np.int64]) -> Scores:
    """Return the quality of class probabilities, of texts with known codes.

    Example:
        >>> sure = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> score(sure, np.array([0, 1, 0, 0]))
        Scores(accuracy=0.75, macro_f1=0.7333333333333334, calibration_error=0.25)
    """
    from sklearn.metrics import f1_score

    decided = probabilities_QK.argmax(axis=1)
    right = decided == codes_Q
    macro = f1_score(codes_Q, decided, average="macro", zero_division=0.0)
    error = calibration_error(probabilities_QK.max(axis=1), right, BINS)
    return Scores(float(right.mean()), float(macro), error)
