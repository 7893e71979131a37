"""Multinomial logistic regression by L-BFGS in float64, and the temperature that calibrates scores.

Legend: N texts, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.lazy_torch import F, Tensor, torch

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
    features, labels = torch.from_numpy(features_ND), torch.from_numpy(labels_N)
    offset = None if offset_NK is None else torch.from_numpy(offset_NK)
    weight = torch.zeros(features_ND.shape[1], classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        scores = features @ weight + bias
        scores = scores if offset is None else scores + offset
        penalty: Tensor = l2 / 2 * weight.square().sum()
        return (F.cross_entropy(scores, labels, reduction="sum") + penalty) / len(labels)

    evaluations = minimise(loss, [weight, bias])
    return Regression(weight.detach().numpy(), bias.detach().numpy(), evaluations)


def minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> int:
    """Minimise a smooth loss by L-BFGS with strong Wolfe line search, and return its evaluations."""
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=STEPS,
        history_size=20,
        tolerance_grad=1e-8,
        tolerance_change=1e-13,
        line_search_fn="strong_wolfe",
    )
    count = 0

    def closure() -> float:
        nonlocal count
        count += 1
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return count


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
