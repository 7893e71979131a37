"""Positions of the agents in a picture of a network, and the sizes of their markers.

Shapes: N agents. All lengths are in inches, x to the right and y upwards.
"""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import numpy.typing as npt

from protocols.topologies import Network

Points = npt.NDArray[np.float64]

RADIAL_LEAVES = 30
"""A tree with more leaves becomes rings around its root: in one row they would be specks."""
STRESS_LIMIT = 150
"""Most agents laid out by stress (Kamada-Kawai), which looks best and whose cost grows fastest."""
SMALLEST_MARKER, LARGEST_MARKER = 0.03, 0.36


def is_round(network: Network) -> bool:
    """Return whether agents lie on circles, so that names point outwards."""
    leaves = sum(not network.children(agent) for agent in range(network.agents))
    return leaves > RADIAL_LEAVES if network.levels[-1] else network.arrangement == "circle"


def place(network: Network, name_in: float, edges_labelled: bool) -> Points:
    """Return where the agents lie `[N, 2]`: levels top to bottom or outwards, peers as arranged.

    Args:
        network: what is drawn.
        name_in: width of the longest name that is written outside a marker; 0 for none.
        edges_labelled: whether there must be room for a label on each edge.
    """
    side = float(np.interp(network.agents, [2, 6, 16, 60, 100], [2.0, 2.8, 4.2, 6.2, 7.4]))
    side *= 1.3 if name_in and network.arrangement == "free" else 1.0
    side *= float(np.interp(network.edge_count, [6, 40], [1.0, 1.6])) if edges_labelled else 1.0
    unit = _unit(network)
    extent = np.ptp(unit, axis=0)
    if network.arrangement == "levels" and not is_round(network):
        columns, rows = extent
        width = min(columns * max(0.62, min(name_in + 0.15, 1.3 if columns < 8 else 1.0)), 11.0)
        height = min(rows * max(1.2, 0.16 * width), 9.0)
        stretch: Points = np.array([width / max(columns, 1.0), height / max(rows, 1.0)])
        return unit * stretch
    if network.arrangement == "grid":
        side = min((max(0.95, name_in + 0.45) + 0.2 * edges_labelled) * extent.max(), 9.0)
    return unit * float(side / (extent.max() or 1.0))


def _unit(network: Network) -> Points:
    """Return positions `[N, 2]` of any scale."""
    agents, places = network.agents, np.arange(network.agents)
    if network.arrangement == "levels":
        columns, levels = _columns(network), np.array(network.levels, dtype=float)
        if not is_round(network):
            return np.stack([columns, -levels], axis=1)
        angles = np.pi / 2 - 2 * np.pi * columns / (columns.max() + 1)
        return np.stack([levels * np.cos(angles), levels * np.sin(angles)], axis=1)
    if network.arrangement == "grid":
        side = math.isqrt(agents - 1) + 1
        return np.stack([places % side, -(places // side)], axis=1).astype(float)
    if network.arrangement == "circle":
        circle = nx.circular_layout(range(agents))
        # Swapped, the first agent stands on top and the others follow clockwise.
        return np.array([circle[i] if agents == 2 else circle[i][::-1] for i in places])
    pulled = (
        nx.kamada_kawai_layout(network.graph)
        if agents <= STRESS_LIMIT
        else nx.spring_layout(network.graph, seed=0, iterations=60)
    )
    return np.array([pulled[i] for i in places])


def _columns(network: Network) -> Points:
    """Return each agent's column `[N]` in a tidy tree: leaves one apart, parents over their middle."""
    tree = nx.DiGraph((network.parent(i), i) for i in range(network.agents))
    columns, leaves = np.zeros(network.agents), 0
    for agent in nx.dfs_postorder_nodes(tree, None):  # None is the parent of every root
        if agent is None:
            continue
        if children := network.children(agent):
            columns[agent] = (columns[children[0]] + columns[children[-1]]) / 2
        else:
            columns[agent], leaves = leaves, leaves + 1
    return columns


def marker_sizes(network: Network, points: Points) -> Points:
    """Return the diameter of each agent's marker `[N]`, alike on each level."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, 10.0)
    nearest, levels = 0.66 * distances.min(axis=1), np.array(network.levels)
    # Where springs push a few agents onto each other, that must not make specks of all the others.
    typical = float(np.quantile(nearest, 0.1 if network.arrangement == "free" else 0.0))
    by_level = {level: float(nearest[levels == level].min()) for level in set(network.levels)}
    sizes = [max(typical, min(by_level[n], max(0.16, 2.5 * typical))) for n in network.levels]
    return np.clip(sizes, SMALLEST_MARKER, LARGEST_MARKER)
