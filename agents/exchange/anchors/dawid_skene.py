"""Fusion of labels by expectation-maximisation over each agent's confusion matrix (Dawid and Skene, 1979).

Legend: S agents, N anchors, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SETTLED = 1e-9
"""Largest change of a probability at which the iteration stops."""


def dawid_skene(
    chosen_SN: NDArray[np.int64], classes: int, iterations: int, smoothing: float
) -> NDArray[np.float64]:
    """Estimate the class of each anchor from labels by agents with unknown confusions.

    Agent s gives an anchor of class c the label k with probability ``confusion[s, k, c]``, independently of
    the other agents. Starting from the shares of the votes, two steps alternate: confusions and class
    frequencies from the classes' probabilities, and the probabilities from those by Bayes' rule.

    Args:
        chosen_SN: `[S, N]`, labels from 0 to K - 1.
        classes: K.
        iterations: pairs of steps, at most.
        smoothing: added to every count of a confusion, > 0.

    Returns:
        `[N, K]`, rows sum to one.

    Source: Dawid and Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM
    Algorithm, 1979.

    Example:
        >>> contrary = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]])
        >>> dawid_skene(contrary, classes=2, iterations=20, smoothing=0.01).argmax(axis=1)
        array([0, 0, 1, 1])
    """
    ballots_SNK = np.eye(classes)[chosen_SN]
    posterior_NK: NDArray[np.float64] = ballots_SNK.mean(axis=0)
    for _ in range(iterations):
        counts_SKC = np.einsum("snk,nc->skc", ballots_SNK, posterior_NK) + smoothing
        log_confusion_SKC = np.log(counts_SKC / counts_SKC.sum(axis=1, keepdims=True))
        frequency_C = posterior_NK.mean(axis=0)
        with np.errstate(divide="ignore"):  # log 0: a class without votes stays impossible
            log_posterior_NC = np.log(frequency_C) + np.zeros_like(posterior_NK)
        for log_confusion_KC, chosen_N in zip(log_confusion_SKC, chosen_SN, strict=True):
            log_posterior_NC += log_confusion_KC[chosen_N]
        log_posterior_NC -= log_posterior_NC.max(axis=1, keepdims=True)
        before, posterior_NK = posterior_NK, np.exp(log_posterior_NC)
        posterior_NK /= posterior_NK.sum(axis=1, keepdims=True)
        if np.abs(posterior_NK - before).max() < SETTLED:
            break
    return posterior_NK
