"""A network round by round: the live edges of each, with arrows where they carry one way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from agentos.reporting.network.canvas import BUSIEST, INK, QUIET, Canvas
from agentos.reporting.network.edge_paths import edge_paths
from agentos.reporting.network.labels import Label
from agentos.reporting.network.positions import marker_sizes, place
from protocols.topologies import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROUNDS, MAX_AGENTS = 6, 60
"""Most rounds and agents that are drawn."""
COLUMNS, SIDE, MARGIN = 3, 2.1, 0.75

Directed = Collection[tuple[int, int]]
"""(sender, receiver) of each message."""


def vary(rounds: Mapping[int, Directed]) -> bool:
    """Return whether one picture of all edges would mislead: rounds differ, or an edge carries one way."""
    live = [frozenset(edges) for edges in rounds.values()]
    one_way = any((b, a) not in edges for edges in live for a, b in edges)
    return one_way or len(set(live)) > 1


def live_edges(network: Network) -> dict[int, Directed]:
    """Return the live edges of the first rounds, from round 1: one period, or six rounds."""
    last = min(network.period or MAX_ROUNDS, MAX_ROUNDS)
    return {
        round: frozenset(edge for hop in network.hops(round) for edge in hop.edges)
        for round in range(1, last + 1)
    }


def draw_rounds(
    network: Network, rounds: Mapping[int, Directed], title: str | None = None
) -> Figure:
    """Draw a small picture for each round, at most six; edges that rest are pale.

    Args:
        network: network to draw, of at most 60 agents.
        rounds: live edges by round, each as (sender, receiver); twice if it carries both ways.
        title: text above the pictures.
    """
    points = place(network, 0.0, False)
    extent = np.ptp(points, axis=0)
    points = (points - points.min(axis=0)) * SIDE / max(float(extent.max()), 1.0)
    sizes = marker_sizes(network, points)
    paths = edge_paths(network, points, sizes)
    cell = np.array([SIDE, float(np.ptp(points[:, 1]))]) + MARGIN
    shown = list(rounds.items())[:MAX_ROUNDS]
    lines = -(-len(shown) // COLUMNS)
    low, high = np.array([-MARGIN / 2, -(lines - 1) * cell[1] - MARGIN / 2]), cell - MARGIN / 2
    canvas = Canvas(low, np.array([low[0] + min(len(shown), COLUMNS) * cell[0], high[1]]))
    for number, (round, live) in enumerate(shown):
        shift = np.array([number % COLUMNS, -(number // COLUMNS)]) * cell
        for (a, b), path in zip(network.edges, paths, strict=True):
            ways = [(pair in live) for pair in ((a, b), (b, a))]
            if all(ways):
                canvas.line(path + shift, INK, 1.4)
            elif any(ways):
                toward = path if ways[0] else path[::-1]
                canvas.arrow(toward + shift, float(sizes[b if ways[0] else a]) / 2, BUSIEST, 1.2)
            else:
                canvas.line(path + shift, QUIET, 0.5)
        numbers = [str(agent) for agent in range(network.agents)]
        canvas.draw_agents(network, points + shift, sizes, numbers)
        top = float(points[:, 1].max() + sizes.max() / 2) + 0.1
        middle = shift + np.array([SIDE / 2, top])
        canvas.write(Label(f"round {round}", middle, 8.0))
    canvas.head(title, "live edges by round; an arrow carries one way, a dark line both")
    return canvas.figure
