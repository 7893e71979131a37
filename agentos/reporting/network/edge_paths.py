"""Paths of edges in a picture of a network: straight, or bent around the agents that they would pass under.

Shapes: N agents, E edges, S points of a path. All lengths are in inches.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agentos.reporting.network.positions import Points
from protocols.topologies import Network

STEPS = 25
"""Points of a bent path."""
BENDS = (0.0, 0.25, -0.25, 0.45, -0.45, 0.7, -0.7, 1.0, -1.0)
"""Sideways pulls that are tried, as shares of an edge's length, in order of preference."""
CLEAR = 0.03
"""Room between a path and an agent that is not at its ends."""
MOST = 20_000_000
"""Most pairs of an edge and an agent that are looked at; beyond it, edges are too dense to be told apart."""


def edge_paths(network: Network, points: Points, sizes: Points) -> list[Points]:
    """Return the path of each edge: its two ends, or `[S, 2]` where a straight line would be hidden.

    Args:
        network: network to draw.
        points: `[N, 2]`, positions of the agents.
        sizes: `[N]`, diameters of their markers.
    """
    ends = points[np.array(network.edges, dtype=int).reshape(-1, 2)]  # [E, 2 ends, 2]
    paths: list[Points] = list(ends)
    if len(ends) * network.agents > MOST:
        return paths
    reach = sizes / 2 + CLEAR
    for edge, (a, b) in enumerate(network.edges):
        others = np.delete(np.arange(network.agents), [a, b])
        if not _covered(ends[edge], points[others], reach[others]):
            continue
        bent = [_bent(ends[edge], bend) for bend in BENDS]
        covered = [_covered(path, points[others], reach[others]) for path in bent]
        paths[edge] = bent[int(np.argmin(covered))]
    return paths


def along(path: Points, share: float) -> Points:
    """Return the point of a path after a share of it."""
    bent = len(path) > 2
    point: Points = (
        path[round(share * (len(path) - 1))] if bent else path[0] + share * (path[1] - path[0])
    )
    return point


def _bent(ends: Points, bend: float) -> Points:
    """Return a quadratic Bezier curve whose middle control point is pulled to one side."""
    (start, end), way = ends, ends[1] - ends[0]
    control = (start + end) / 2 + bend * np.array([-way[1], way[0]])
    t = np.linspace(0, 1, STEPS)[:, None]
    curve: Points = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return curve


def _covered(path: Points, others: Points, reach: Points) -> float:
    """Return how far a path goes under markers, summed over agents; 0 if it is clear of all."""
    starts, ways = path[:-1], np.diff(path, axis=0)
    lengths = np.maximum(np.sum(ways**2, axis=1), 1e-12)
    to_start: npt.NDArray[np.float64] = others[:, None] - starts[None]  # [N, S - 1, 2]
    shares = np.clip(np.sum(to_start * ways, axis=2) / lengths, 0, 1)
    nearest = np.linalg.norm(to_start - shares[..., None] * ways, axis=2).min(
        axis=1, initial=np.inf
    )
    return float(np.sum(np.maximum(reach - nearest, 0)))
