"""Where a picture of a network places its agents, and how large it must be for that.

Shapes: N agents. All lengths are in inches, x to the right and y upwards from the lower left
corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt

from agentos.reporting.network.tree import tidy_tree
from protocols.topologies import Network

Points = npt.NDArray[np.float64]

LARGEST_NODE_IN = 0.42
LARGEST_NAMED_NODE_IN = 0.26
SMALLEST_NODE_IN = 0.03
STRESS_LIMIT = 150
"""Most agents that are laid out by stress (Kamada-Kawai), which looks best and costs the most."""


@dataclass(frozen=True)
class Room:
    """What a picture must have room for, beside the agents themselves; in inches.

    Args:
        left_in: margin at the left of the agents; likewise the other three.
        least_width_in: width of the page that title and legend take.
        name_in: width of the widest name beside an agent, 0 where there is none.
        bytes_on_edges: whether edges are labelled.
    """

    left_in: float
    right_in: float
    top_in: float
    bottom_in: float
    least_width_in: float
    name_in: float
    bytes_on_edges: bool


@dataclass(frozen=True)
class Layout:
    """A page and the agents on it.

    Args:
        width_in: width of the page.
        height_in: height of the page.
        points: centre of each agent ``[N, 2]``.
        nodes_in: diameter of each agent's marker ``[N]``.
    """

    width_in: float
    height_in: float
    points: Points
    nodes_in: Points


def lay_out(network: Network, room: Room) -> Layout:
    """Place the agents: levels from top to bottom, grids as grids, other peers in a circle."""
    unit = _unit_points(network, stacked=not room.name_in)
    spread = np.ptp(unit, axis=0)
    points = (unit - unit.min(axis=0)) * _scale(network, spread, _size(network, spread, room))
    extent = np.ptp(points, axis=0)
    width = float(extent[0]) + room.left_in + room.right_in
    spare = max(0.0, room.least_width_in - width)
    return Layout(
        width_in=width + spare,
        height_in=float(extent[1]) + room.bottom_in + room.top_in,
        points=points + np.array([room.left_in + spare / 2, room.bottom_in]),
        nodes_in=_node_sizes(network, points, bool(room.name_in)),
    )


def _unit_points(network: Network, stacked: bool) -> Points:
    """Return positions ``[N, 2]``: 1 apart in grids and levels, of any scale elsewhere."""
    agents = network.agents
    if agents == 1:
        return np.zeros((1, 2))
    if network.arrangement == "levels":
        return tidy_tree(network, stacked)
    if network.arrangement == "grid":
        columns = math.isqrt(agents - 1) + 1
        places = np.arange(agents)
        return np.stack([places % columns, -(places // columns)], axis=1).astype(float)
    if network.arrangement == "free":
        return _by_springs(network)
    start = np.pi if agents == 2 else np.pi / 2
    angles = start - 2 * np.pi * np.arange(agents) / agents
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _by_springs(network: Network) -> Points:
    if network.agents <= STRESS_LIMIT:
        placed = nx.kamada_kawai_layout(network.graph)
    else:
        placed = nx.spring_layout(network.graph, seed=0, iterations=60)
    return np.array([placed[agent] for agent in range(network.agents)], dtype=float)


def _size(network: Network, spread: Points, room: Room) -> tuple[float, float]:
    """Return the width and height in inches that the agents' centres may spread over."""
    columns, rows = map(float, spread)
    if network.arrangement == "levels":
        width = min(max(0.62, min(room.name_in + 0.15, 1.0)) * columns, 11.0)
        return width, min(max(1.2, 0.16 * width) * rows, 9.0)
    if network.arrangement == "grid":
        cell = max(0.95, room.name_in + 0.45) + 0.2 * room.bytes_on_edges
        cell = min(cell, 9.0 / max(columns, rows, 1.0))
        return columns * cell, rows * cell
    side = float(np.interp(network.agents, [2, 6, 16, 60, 200], [2.0, 2.8, 4.2, 6.2, 7.4]))
    if room.bytes_on_edges:
        side *= float(np.interp(network.edge_count, [6, 40], [1.0, 1.5]))
    if room.name_in and network.arrangement == "free":
        side *= 1.3
    return side, side


def _scale(network: Network, spread: Points, size: tuple[float, float]) -> Points:
    """Return by how much to stretch each axis: alike, except in trees."""
    factors = np.full(2, np.inf)
    np.divide(size, spread, out=factors, where=spread > 1e-9)
    if network.arrangement != "levels":
        factors[:] = factors.min()
    return np.where(np.isfinite(factors), factors, 1.0)


def _node_sizes(network: Network, points: Points, named: bool) -> Points:
    """Return the diameter of each agent's marker ``[N]``: alike, or alike on each level."""
    largest = LARGEST_NAMED_NODE_IN if named else LARGEST_NODE_IN
    nearest = 0.6 * _nearest(points)
    # Where springs push a few agents onto each other, that must not make specks of all the others.
    typical = np.quantile(nearest, 0.1 if network.arrangement == "free" else 0.0)
    sizes = np.full(network.agents, typical)
    if network.arrangement == "levels":
        levels = np.array(network.levels)
        for level in set(network.levels):
            sizes[levels == level] = nearest[levels == level].min()
        sizes = np.minimum(sizes, max(0.14, 2.5 * float(typical)))
    return np.clip(sizes, SMALLEST_NODE_IN, largest)


def _nearest(points: Points) -> Points:
    """Return each agent's distance in inches to its nearest other; large for a lone agent."""
    if len(points) == 1:
        return np.array([10.0])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.min(axis=1), dtype=np.float64)
