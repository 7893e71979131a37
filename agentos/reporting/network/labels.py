"""Labels of a picture of a network: names around their agents, bytes along their edges.

adjustText would move labels off their edges, and imports pyplot. All lengths are in inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentos.reporting.network.edge_paths import along
from agentos.reporting.network.positions import Points, is_round
from protocols.topologies import Network

NAME_PT, BYTES_PT = 8.0, 7.5
EM = 0.62 / 72
"""Mean width in inches of a character of one point."""
STRAIGHT = ((1, 0), (-1, 0), (0, 1), (0, -1))
SLANTED = ((0.85, -0.85), (-0.85, -0.85), (0.85, 0.85), (-0.85, 0.85))
SHARES = (0.5, 0.44, 0.56, 0.38, 0.62, 0.32, 0.68, 0.26, 0.74, 0.2, 0.8)
"""Places of a name around its agent, and of bytes along their edge, in order of preference."""


@dataclass(frozen=True)
class Label:
    """One line of text, centred on a point and turned counter-clockwise by `angle` degrees."""

    text: str
    centre: Points
    size_pt: float
    angle: float = 0.0

    @property
    def half(self) -> Points:
        """Half the width and height of the box around the text."""
        long, high, turn = self.size_pt * EM * len(self.text), self.size_pt / 72, self.angle
        along, across = abs(np.cos(np.deg2rad(turn))), abs(np.sin(np.deg2rad(turn)))
        return np.array([along * long + across * high, across * long + along * high]) / 2 + 0.02


def name_labels(
    network: Network, points: Points, sizes: Points, names: Sequence[str]
) -> list[Label]:
    """Return a label for each agent: outside a circle, below a leaf, or next to its marker."""
    tree, placed = network.arrangement == "levels", list[Label]()
    leaves = [agent for agent in range(network.agents) if not network.children(agent)]
    middle = points[0] if tree else points.mean(axis=0)
    for agent in sorted(range(network.agents), key=lambda agent: agent not in leaves):
        point, gap = points[agent], sizes[agent] / 2 + 0.06
        label = Label(names[agent], point, NAME_PT)
        if agent in leaves and (tree or is_round(network)):
            way = np.array([0.0, -1.0])
            if is_round(network):
                way = (point - middle) / (np.linalg.norm(point - middle) or 1.0)
            if len(leaves) > (7 if tree else 16):  # too narrow for adjacent names
                turn = float(np.rad2deg(np.arctan2(way[1], way[0])))
                label = replace(label, angle=turn + 180 * (abs(turn) > 90.01 or turn == -90))
                reach: float | Points = NAME_PT * EM * len(label.text) / 2
            else:
                reach = label.half
            placed.append(replace(label, centre=point + way * (reach + gap)))
            continue
        # The lines of a grid leave its markers straight, those of a tree slanted.
        preferred = (*STRAIGHT, *SLANTED) if tree else (*SLANTED, *STRAIGHT)
        ways = [(label.half + gap - 0.02) * way for way in preferred]
        placed.append(_freest(label, [point + way for way in ways], placed, points, sizes))
    return placed


def edge_labels(
    paths: Sequence[Points],
    points: Points,
    sizes: Points,
    texts: Sequence[str],
    placed: list[Label],
) -> list[Label]:
    """Return a label for each edge, on its path and clear of the labels already placed."""
    placed = list(placed)
    first = len(placed)
    lengths = [np.linalg.norm(path[-1] - path[0]) for path in paths]
    for edge in np.argsort(lengths, kind="stable"):  # short edges have the fewest possible places
        path = paths[edge]
        places = [along(path, share) for share in SHARES]
        placed.append(_freest(Label(texts[edge], path[0], BYTES_PT), places, placed, points, sizes))
    return placed[first:]


def _freest(
    label: Label, places: Sequence[Points], placed: Sequence[Label], points: Points, sizes: Points
) -> Label:
    """Return a label at the place where it covers the least of other labels and of markers."""

    def covered(place: Points) -> float:
        gaps = np.linalg.norm(np.maximum(np.abs(points - place) - label.half, 0), axis=1)
        overlaps = (label.half + o.half - np.abs(place - o.centre) for o in placed)
        labels = sum(float(np.prod(np.clip(overlap, 0, None))) for overlap in overlaps)
        return float(np.sum(gaps < sizes / 2 + 0.015)) + labels / float(np.prod(2 * label.half))

    return replace(label, centre=places[int(np.argmin([covered(place) for place in places]))])
