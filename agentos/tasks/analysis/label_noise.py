r"""Labels that are probably wrong, by confident learning.

With out-of-fold probabilities \(p\), the threshold of a class is its mean probability over the texts of this
label, \(t_j = \mathrm{mean}_{i: y_i = j}\, p_{ij}\). A text counts as of class j if \(p_{ij} \ge t_j\); where
several classes pass, as of the most probable. Texts that count as of another class than their label are
suspects.

Source: Northcutt et al., Confident Learning: Estimating Uncertainty in Dataset Labels, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelNoise:
    """The estimated noise of labels.

    Args:
        rate: share of the labels that are wrong, in [0, 1].
        suspects: texts that count as of another class, the least probable label first.
        joint: `[C, C]`, the estimated share of texts with label i (row) that are of class j (column).
    """

    rate: float
    suspects: NDArray[np.int64]
    joint: NDArray[np.float64]


def label_noise(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> LabelNoise:
    """Return the noise of labels.

    Args:
        probabilities: `[N, C]`, out of fold: in-sample ones agree with every label.
        labels: `[N]`, codes from 0 to C - 1.
    """
    texts, classes = probabilities.shape
    counts = np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(texts), labels]
    sums = np.bincount(labels, weights=own, minlength=classes)
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    likely = np.where(probabilities >= thresholds, probabilities, -1.0)
    counted = likely.max(axis=1) >= 0
    guess = likely.argmax(axis=1)
    confident: NDArray[np.float64] = np.zeros((classes, classes))
    np.add.at(confident, (labels[counted], guess[counted]), 1.0)
    # Every label gets its share of the texts, however few of them were counted.
    rows = confident.sum(axis=1, keepdims=True)
    shares = np.divide(confident, rows, out=np.eye(classes), where=rows > 0)
    joint: NDArray[np.float64] = shares * (counts / texts)[:, None]
    suspects = np.flatnonzero(counted & (guess != labels))
    order = np.argsort(own[suspects], kind="stable")
    return LabelNoise(float(joint.sum() - np.trace(joint)), suspects[order], joint)
