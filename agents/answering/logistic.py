"""Multinomial logistic regression by L-BFGS in float64, and the temperature that calibrates scores.

Legend: N texts, D features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 500
"""Largest number of L-BFGS steps."""
LARGEST_INVERSE = 1e3
"""Largest inverse temperature."""
_BISECTIONS = 60


@dataclass(frozen=True)
class Regression:
    """A fitted regression: scores are ``features @ weight + bias``, to which an offset may be added.

    Attributes:
        weight: `[D, K]`.
        bias: `[K]`.
        evaluations: times that loss and gradient were computed.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    evaluations: int


def fit_regression(
    features_ND: NDArray[np.float64],
    labels_N: NDArray[np.int64] | NDArray[np.float64],
    classes: int,
    l2: float,
    offset_NK: NDArray[np.float64] | None = None,
) -> Regression:
    """Minimise ``sum of cross-entropies + l2 / 2 |weight|^2``; the bias is not penalised.

    Args:
        features_ND: `[N, D]`.
        labels_N: `[N]`, each class at least once; or `[N, K]`, probabilities.
        classes: K.
        l2: > 0.
        offset_NK: `[N, K]`, added to the scores; the weights are shrunk towards it.
    """
    # Not at the top: reading a configuration imports this module.
    from scipy.optimize import minimize

    count, width = features_ND.shape
    targets_NK = labels_N if labels_N.ndim == 2 else np.eye(classes)[labels_N]
    mass_N1 = targets_NK.sum(axis=1, keepdims=True)
    rows_NF = np.column_stack([features_ND, np.ones(count)])
    penalty_F1 = np.append(np.full(width, l2), 0.0)[:, None]
    offset = 0.0 if offset_NK is None else offset_NK

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight_FK = flat.reshape(width + 1, classes)
        scores_NK = rows_NF @ weight_FK + offset
        scores_NK -= scores_NK.max(axis=1, keepdims=True)
        raised_NK = np.exp(scores_NK)
        total_N1 = raised_NK.sum(axis=1, keepdims=True)
        value = (mass_N1 * np.log(total_N1)).sum() - (targets_NK * scores_NK).sum()
        value += (penalty_F1 * weight_FK**2).sum() / 2
        slope_FK = rows_NF.T @ (mass_N1 * raised_NK / total_N1 - targets_NK)
        slope_FK += penalty_F1 * weight_FK
        return float(value) / count, slope_FK.ravel() / count

    found = minimize(
        loss,
        np.zeros((width + 1) * classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": STEPS, "maxcor": 20, "gtol": 1e-8, "ftol": 1e-13},
    )
    weight_FK = found.x.reshape(width + 1, classes)
    return Regression(weight_FK[:-1].copy(), weight_FK[-1].copy(), int(found.nfev))


def inverse_temperature(scores_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> float:
    """Return the factor of scores `[N, K]` that minimises their cross-entropy to smoothed labels.

    The labels are smoothed as Platt does, by one example in N + 2, so that scores without a mistake get a
    finite factor. The loss is convex in the factor: its derivative is bisected.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017; Platt, Probabilistic Outputs for
    Support Vector Machines, 1999.
    """
    count, classes = scores_NK.shape
    miss = 1 / (count + 2)
    targets_NK = np.full((count, classes), miss / (classes - 1))
    targets_NK[np.arange(count), labels_N] = 1 - miss
    wanted = float((targets_NK * scores_NK).sum())
    low, high = np.log(1 / LARGEST_INVERSE), np.log(LARGEST_INVERSE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        expected = float((softmax(np.exp(middle) * scores_NK) * scores_NK).sum())
        low, high = (middle, high) if expected < wanted else (low, middle)
    return float(np.exp((low + high) / 2))


def softmax(scores_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of probabilities."""
    raised = np.exp(scores_NK - scores_NK.max(axis=-1, keepdims=True))
    rows: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return rows
