"""Labels of points by the claims nearest to them, and their weight relative to a classifier.

Legend: N points, C claims, D dimensions, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.knowledge.claims import Claim
from agents.knowledge.frames import Points, unit

Shares = NDArray[np.float64]
_CHUNK = 512
_LEAST = 1e-6
"""Probability at least that a label is given when weights are compared."""


def label_shares(claims: Sequence[Claim], names: Sequence[str]) -> Shares:
    """Return the share of each label in each claim `[C, K]`; labels that are not named are left out."""
    place = {name: column for column, name in enumerate(names)}
    shares = np.zeros((len(claims), len(names)))
    for row, claim in enumerate(claims):
        for name, count in claim.labels:
            if name in place:
                shares[row, place[name]] = count / claim.weight
    return shares


def points_of(claims: Sequence[Claim], width: int) -> Points:
    """Return the points of claims `[C, D]`, of a width that none of them tells where there are none."""
    if not claims:
        return np.zeros((0, width), np.float32)
    return np.stack([claim.embedding for claim in claims])


def votes_of(claims: Sequence[Claim], k: int) -> Shares:
    """Return how many texts each claim speaks for `[C]`: those that were joined in it, at most k.

    A prototype speaks for one, however many texts it is the mean of.
    """
    return np.array([1.0 if c.kind == "prototype" else min(c.weight, k) for c in claims])


def neighbour_shares(
    points_ND: Points,
    claims_CD: Points,
    shares_CK: Shares,
    k: int,
    temperature: float,
    votes_C: Shares | None = None,
) -> Shares:
    r"""Return the labels of points by their k nearest claims `[N, K]`; rows sum to one, uniform of none.

    A claim at cosine c counts \(v \exp(c / \tau)\): the temperature divides, and v is its votes, 1 by
    default. Of equal cosines, the claim that stands first is nearer.

    Source: Khandelwal et al., Generalization through Memorization: Nearest Neighbor Language Models, 2020.
    """
    count, labels = shares_CK.shape
    found = np.full((len(points_ND), labels), 1.0 / max(labels, 1))
    if not count:
        return found
    held, k = unit(claims_CD), min(k, count)
    for start in range(0, len(points_ND), _CHUNK):
        cosines = unit(points_ND[start : start + _CHUNK]) @ held.T
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        close = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        weights = np.exp((close - close[:, :1]) / temperature)
        if votes_C is not None:
            weights = weights * votes_C[nearest]
        votes = np.einsum("nk,nkl->nl", weights, shares_CK[nearest])
        total = votes.sum(axis=1, keepdims=True)
        known = total[:, 0] > 0
        found[start : start + len(cosines)][known] = votes[known] / total[known]
    return found


def best_weight(head_NK: Shares, claims_NK: Shares, truth_N: NDArray[np.int64]) -> float:
    """Return the weight of claims relative to the head that makes true labels most likely, of 0, 0.05 to 1.

    Every label counts the same, however many texts bear it: an episode with few does not lose to one with
    many. The texts must be those of a calibration: neither the head nor the claims have seen them. Of equal
    weights (to a billionth), the smallest; 0 without texts.
    """
    if not len(truth_N):
        return 0.0
    rows, counts = np.arange(len(truth_N)), np.bincount(truth_N)
    head, claimed = head_NK[rows, truth_N], claims_NK[rows, truth_N]
    balance = 1.0 / (counts[truth_N] * np.count_nonzero(counts))
    weights = np.linspace(0.0, 1.0, 21)
    likely = [
        round(float(np.log(np.maximum((1 - w) * head + w * claimed, _LEAST)) @ balance), 9)
        for w in weights
    ]
    return float(round(weights[int(np.argmax(likely))], 2))
