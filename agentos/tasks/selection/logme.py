r"""LogME: the evidence of labels under a linear model of the embeddings, which needs no fit by descent.

Labels are taken one class at a time as \(y \in \{0, 1\}^N\), with \(w \sim \mathcal N(0, \alpha^{-1} I)\) and
\(y \mid w \sim \mathcal N(Fw, \beta^{-1} I)\). The evidence, maximised over \(\alpha\) and \(\beta\), divided
by N and averaged over classes, ranks models by how well they will do. One singular value decomposition
serves all classes.

Source: You et al., LogME: Practical Assessment of Pre-trained Models for Transfer Learning, 2021.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 200
"""Most updates of a pair of precisions; most converge within ten."""
_CONVERGED = 1e-8
_LEAST, _MOST = 1e-10, 1e10


def logme(embeddings: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the log evidence per text, a mean over classes.

    Args:
        embeddings: `[N, D]`.
        labels: `[N]`, codes from 0.
    """
    left, singular, _ = np.linalg.svd(embeddings.astype(np.float64), full_matrices=False)
    width = embeddings.shape[1]
    found = [
        log_evidence(left, singular, width, (labels == label).astype(np.float64))[0]
        for label in np.unique(labels)
    ]
    return float(np.mean(found))


def log_evidence(
    left_NK: NDArray[np.float64],
    singular_K: NDArray[np.float64],
    width: int,
    targets_N: NDArray[np.float64],
) -> tuple[float, float, float]:
    """Return the largest log evidence per text, and the precisions alpha and beta at which it lies.

    Args:
        left_NK, singular_K: singular value decomposition of the embeddings.
        width: of the embeddings.
        targets_N: 1 for the texts of the class, else 0.
    """
    count, energy_K = len(targets_N), singular_K**2
    projected_K = (left_NK.T @ targets_N) ** 2
    outside = max(
        0.0, float(targets_N @ targets_N - projected_K.sum())
    )  # no weights can explain it
    alpha = beta = 1.0
    for _ in range(ROUNDS):
        precision_K = alpha + beta * energy_K
        effective = float((beta * energy_K / precision_K).sum())
        length, residual = _fit(alpha, beta, energy_K, projected_K, outside)
        before = alpha, beta
        alpha = float(np.clip(effective / max(length, _LEAST), _LEAST, _MOST))
        beta = float(np.clip((count - effective) / max(residual, _LEAST), _LEAST, _MOST))
        if np.allclose(before, (alpha, beta), rtol=_CONVERGED, atol=0.0):
            break
    length, residual = _fit(alpha, beta, energy_K, projected_K, outside)
    determinant = float(np.log(alpha + beta * energy_K).sum())
    determinant += (width - len(energy_K)) * float(np.log(alpha))
    evidence = count * np.log(beta) + width * np.log(alpha) - count * np.log(2 * np.pi)
    evidence -= beta * residual + alpha * length + determinant
    return float(evidence / 2 / count), alpha, beta


def _fit(
    alpha: float,
    beta: float,
    energy_K: NDArray[np.float64],
    projected_K: NDArray[np.float64],
    outside: float,
) -> tuple[float, float]:
    """Return the squared lengths of the posterior mean and of its residual."""
    precision_K = alpha + beta * energy_K
    length = float((beta**2 * energy_K * projected_K / precision_K**2).sum())
    residual = float((alpha**2 * projected_K / precision_K**2).sum()) + outside
    return length, residual
