"""Positions of a society's agents on the page, and the edges drawn between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from agentos.data.printable_text import printable
from agentos.reporting.network.positions import Points, marker_sizes, place
from protocols.topologies.network import Network

PLACED_AGENTS = 2_000
"""Most agents whose places follow their edges; more stand in a spiral."""
DRAWN_AGENTS = 20_000
"""Most agents that are drawn; more are only counted."""
DRAWN_EDGES = 12_000
"""Most edges that are drawn; of more, an even sample."""
_NAME = 80


def society_map(network: Network, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the places of the agents, from 0 to 1 in the longer direction, y downwards, and the edges."""
    agents = network.agents
    drawn = agents <= DRAWN_AGENTS
    points, radii = _placed(network) if drawn else (np.zeros((0, 2)), np.zeros(0))
    edges = network.edges if drawn else ()
    step = -(-len(edges) // DRAWN_EDGES) or 1
    kept = edges[::step]
    return {
        "agents": agents,
        "family": network.family,
        "arrangement": network.arrangement,
        "edge_count": network.edge_count,
        "edges_left_out": len(network.edges) - len(kept),
        "edges": [end for edge in kept for end in edge],
        "x": np.round(points[:, 0], 4).tolist(),
        "y": np.round(points[:, 1], 4).tolist(),
        "radius": np.round(radii, 5).tolist(),
        "roles": [printable(role)[:_NAME] for role in network.roles[:DRAWN_AGENTS]],
        "names": [printable(name)[:_NAME] for name in names[:DRAWN_AGENTS]],
    }


def _placed(network: Network) -> tuple[Points, Points]:
    """Return places `[N, 2]` in the unit square and the radius of each marker `[N]`."""
    if network.agents > PLACED_AGENTS:
        turns = np.arange(network.agents)
        angles, distances = turns * np.pi * (3 - 5**0.5), np.sqrt(turns + 0.5)
        points = np.stack([distances * np.cos(angles), distances * np.sin(angles)], axis=1)
        sizes = np.full(network.agents, 1.2)
    else:
        points = place(network, 0.0, False) * [1, -1]
        sizes = marker_sizes(network, points)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = float(extent.max()) or 1.0
    return (points - low) / scale, sizes / 2 / scale
