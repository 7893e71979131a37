"""Balanced clusters on the unit sphere.

Legend: N points, K clusters, D width.
"""

from __future__ import annotations

import numpy as np

from agents.lazy_torch import F, Tensor, torch

_LLOYD_STEPS = 10
_SINKHORN_STEPS = 10


def sinkhorn(
    cosines_NK: Tensor, epsilon: float, steps: int, weights_N: Tensor | None = None
) -> Tensor:
    """Assign points to clusters softly, so that all clusters get the same share of the points.

    The entropic optimal transport from the points to equally large clusters: the balanced assignment Q that
    maximises ``sum(Q * cosines) + epsilon * entropy(Q)``, after `steps` alternations of normalising the
    columns and then the rows.

    Args:
        cosines_NK: `[N, K]`.
        epsilon: > 0, divides the cosines; a smaller one gives harder assignments.
        steps: number of alternations; with few steps, as in SwAV, clusters are only approximately equal.
        weights_N: `[N]`, > 0, weights of the points; all the same if not given.

    Returns:
        `[N, K]`, rows sum to one.

    Source: Cuturi, Sinkhorn Distances: Lightspeed Computation of Optimal Transport, 2013; to assign a batch:
    Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, 2020.
    """
    log_q_NK = cosines_NK / epsilon
    log_w_N1 = torch.zeros_like(log_q_NK[:, :1]) if weights_N is None else weights_N.log()[:, None]
    for _ in range(steps):
        log_q_NK = log_q_NK - torch.logsumexp(log_q_NK + log_w_N1, dim=0, keepdim=True)
        log_q_NK = log_q_NK.log_softmax(dim=1)
    return log_q_NK.exp()


def cluster(
    points_ND: Tensor, weights_N: Tensor, count: int, epsilon: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Find `count` centroids: K-means on the sphere with balanced assignments, from K-means++.

    Args:
        points_ND: `[N, D]`; they are normalised here.
        weights_N: `[N]`, 0 or more; points of weight 0 are left out.
        count: K.
        epsilon: temperature of the assignments; see `sinkhorn`.
        rng: draws the first centroids.

    Returns:
        Centroids `[K, D]`, normalised, and the weight `[K]` of the points that each is the nearest to. With
        at most K points, returns the points padded with zero-weight centroids.

    Sources: Arthur and Vassilvitskii, k-means++, 2007; balanced as in Lubana et al., Orchestra, 2022.
    """
    kept = weights_N > 0
    # This is small and runs once a round, so it is computed on the CPU in double precision: the summation
    # order is then the same on every device.
    points = F.normalize(points_ND[kept].cpu().double(), dim=-1)
    weights = weights_N[kept].cpu().double()
    if len(points) <= count:
        spare = count - len(points)
        centres, counts = F.pad(points, (0, 0, 0, spare)), F.pad(weights, (0, spare))
    else:
        centres = _plus_plus(points, weights, count, rng)
        for _ in range(_LLOYD_STEPS):
            shares_NK = sinkhorn(points @ centres.T, epsilon, _SINKHORN_STEPS, weights)
            centres = F.normalize((weights[:, None] * shares_NK).T @ points, dim=-1)
        nearest = (points @ centres.T).argmax(dim=1)
        counts = torch.zeros(count, dtype=weights.dtype).index_add(0, nearest, weights)
    return centres.to(points_ND), counts.to(points_ND)


def _plus_plus(points: Tensor, weights: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Draw points one after another, by weight times the distance to the nearest drawn point."""
    odds = weights
    unlike = torch.full_like(weights, 2.0)
    chosen: list[int] = []
    for _ in range(count):
        borders = odds.cumsum(0)
        drawn = int(torch.searchsorted(borders, float(rng.random() * borders[-1]), right=True))
        chosen.append(min(drawn, len(points) - 1))
        unlike = torch.minimum(unlike, (1.0 - points @ points[chosen[-1]]).clamp(min=0.0))
        odds = weights * unlike
        if not bool(odds.sum() > 0):  # fewer different points than centroids
            odds = weights
    return points[chosen]
