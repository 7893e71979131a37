"""What a picture of a network writes on its agents and edges, and where there is room for it.

Shapes: N agents, E edges. All lengths are in inches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from agentos.reporting.network.placement import Layout, Points
from agentos.reporting.units import bytes_text
from protocols.topologies import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY = "#2b2f33", "#6b747d"
TITLE_PT, NAME_PT, BYTES_PT, SMALLEST_PT = 11.0, 8.0, 7.5, 5.0
NAMED_AGENTS = 60
"""Most agents that are named beside their markers."""

LABELLED_EDGES = 40
"""Most edges whose bytes are written on them."""

LABELLED_LEVELS = 24
"""Deepest level up to which the levels of a tree are numbered."""

SHORT_NAME = 3
"""Longest name that is written inside a marker."""

HALO = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}


class Taken:
    """The places that are taken already, to find one that hides little.

    Args:
        network: what is drawn.
        layout: where its agents are.
    """

    def __init__(self, network: Network, layout: Layout) -> None:
        self.layout = layout
        self.boxes: list[Points] = []
        self.ends = layout.points[
            np.array(network.edges, dtype=int).reshape(-1, 2)
        ]  # [E, 2 ends, 2]
        along = np.linspace(0, 1, 41)[:, None, None]
        self.paths = (
            self.ends[None, :, 0] * (1 - along) + self.ends[None, :, 1] * along
        )  # [41, E, 2]

    def best(self, places: Sequence[Points], half: Points, edge: int | None = None) -> Points:
        """Take, and return, the first of the centres at which a box hides the least.

        Args:
            places: centres to choose from, the preferred ones first.
            half: half the width and height of the box.
            edge: the edge that the box may lie on.
        """
        place = places[int(np.argmin([self._hidden(place, half, edge) for place in places]))]
        self.boxes.append(np.array([place - half, place + half]))
        return place

    def _hidden(self, place: Points, half: Points, edge: int | None) -> float:
        labels = 0.0
        for low, high in self.boxes:
            overlap = np.minimum(place + half, high) - np.maximum(place - half, low)
            labels += float(np.prod(np.clip(overlap, 0, None)) / np.prod(2 * half))
        gaps = np.linalg.norm(np.maximum(np.abs(self.layout.points - place) - half, 0), axis=1)
        agents = np.count_nonzero(gaps < self.layout.nodes_in / 2 + 0.015)
        under = (np.abs(self.paths - place) < half).all(axis=2).any(axis=0)
        edges = np.count_nonzero(under) - (0 if edge is None else int(under[edge]))
        return 10 * labels + 10 * float(agents) + 0.3 * float(edges)


@lru_cache(maxsize=4096)
def text_width(text: str, size_pt: float = NAME_PT) -> float:
    """Return the width in inches of a line of text."""
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), text.replace("$", "S"), size=size_pt, usetex=False)
    return float(path.vertices[:, 0].max()) / 72 if text.strip() else 0.0


def are_short(names: Sequence[str]) -> bool:
    """Say whether all names fit inside markers."""
    return max(map(len, names)) <= SHORT_NAME


def are_beside(names: Sequence[str] | None) -> bool:
    """Say whether the names go beside the markers: too long for inside, and not too many."""
    return names is not None and not are_short(names) and len(names) <= NAMED_AGENTS


def write_inside(axes: Axes, layout: Layout, labels: Sequence[str], inks: Sequence[str]) -> None:
    """Write a short label inside each marker that is large enough to read it."""
    widest = max(text_width(max(labels, key=len), 10.0) / 10.0, 0.5 / 72)
    for agent, (x, y) in enumerate(layout.points):
        size_pt = min(9.5, layout.nodes_in[agent] * min(0.68 / widest, 36.0))
        if size_pt >= SMALLEST_PT:
            _write(
                axes,
                x,
                y,
                labels[agent],
                size_pt,
                color=inks[agent],
                va="center_baseline",
                zorder=5,
            )


def write_beside(
    axes: Axes, network: Network, layout: Layout, names: Sequence[str], taken: Taken
) -> None:
    """Write names next to the markers: outside a circle, under a leaf, beside a parent."""
    tree = network.arrangement == "levels"
    upright = stands_upright(network, layout, names)
    # Leaves have one place for their names; parents find theirs between them.
    for agent in sorted(range(network.agents), key=lambda agent: bool(network.children(agent))):
        name, gap = names[agent], layout.nodes_in[agent] / 2 + 0.06
        if network.arrangement == "circle" and network.agents > 1:
            _write_outward(axes, layout, agent, name, gap)
            continue
        half = np.array([text_width(name) / 2, NAME_PT / 144]) + 0.02
        half = half[::-1] if tree and upright and not network.children(agent) else half
        places = _places(half, gap, under=tree and not network.children(agent), beside=tree)
        place = taken.best([layout.points[agent] + place for place in places], half)
        _write(axes, place[0], place[1], name, bbox=HALO, rotation=90 if half[1] > half[0] else 0)


def _places(half: Points, gap: float, *, under: bool, beside: bool) -> list[Points]:
    """Return where the middle of a name may be, relative to its marker, the preferred first."""
    side, over = half + gap - 0.03
    if under:
        return [np.array([0.0, -over])]
    straight = [np.array(place) for place in ((side, 0.0), (-side, 0.0), (0.0, over), (0.0, -over))]
    slanted = [(half + 0.7 * gap) * sign for sign in ((1, -1), (-1, -1), (1, 1), (-1, 1))]
    return [*straight, *slanted] if beside else [*slanted, *straight]


def _write_outward(axes: Axes, layout: Layout, agent: int, name: str, gap: float) -> None:
    outward = layout.points[agent] - layout.points.mean(axis=0)
    outward = outward / np.linalg.norm(outward)
    x, y = layout.points[agent] + gap * outward
    horizontal, vertical = outward
    ha = "center" if abs(horizontal) < 0.2 else "left" if horizontal > 0 else "right"
    va = "center" if abs(horizontal) >= 0.2 else "bottom" if vertical > 0 else "top"
    rotation = 0.0
    if len(layout.points) > 16:
        ha, va = ("left" if horizontal >= -1e-9 else "right"), "center"
        rotation = float(np.degrees(np.arctan2(vertical, horizontal)))
        rotation += 0 if ha == "left" else -180 if rotation > 0 else 180
    _write(axes, x, y, name, ha=ha, va=va, rotation=rotation, rotation_mode="anchor")


def stands_upright(network: Network, layout: Layout, names: Sequence[str]) -> bool:
    """Say whether the leaves of a tree stand too close for their names to be written flat."""
    leaves = [agent for agent in range(network.agents) if not network.children(agent)]
    if network.arrangement != "levels" or len(leaves) < 2:
        return False
    closest = float(np.diff(np.sort(layout.points[leaves][:, 0])).min())
    return max(text_width(names[agent]) for agent in leaves) > closest - 0.08


def write_bytes(
    axes: Axes, network: Network, sent: Mapping[tuple[int, int], int], taken: Taken
) -> None:
    """Write its bytes on each edge, shifted along it to where they hide the least.

    Args:
        axes: an axes whose unit is the inch.
        network: whose edges they are.
        sent: both directions together, by the network's own edges.
        taken: where names are; updated.
    """
    lengths = np.linalg.norm(taken.ends[:, 0] - taken.ends[:, 1], axis=1)
    shares = (0.5, 0.44, 0.56, 0.38, 0.62, 0.32, 0.68, 0.26, 0.74, 0.2, 0.8, 0.16, 0.84)
    for edge in np.argsort(lengths, kind="stable"):  # short edges leave the least choice
        text = bytes_text(sent[network.edges[edge]])
        half = np.array([text_width(text, BYTES_PT) / 2 + 0.03, BYTES_PT / 144 + 0.02])
        start, end = taken.ends[edge]
        places = [start * (1 - share) + end * share for share in shares]
        x, y = taken.best(places, half, int(edge))
        _write(axes, x, y, text, BYTES_PT, bbox=HALO)


def write_heading(axes: Axes, layout: Layout, heading: Sequence[str]) -> None:
    """Write the heading in the upper left corner, its last line in grey."""
    for line, text in enumerate(heading):
        last = line == len(heading) - 1
        size_pt, color = (NAME_PT, GREY) if last else (TITLE_PT, INK)
        y = layout.height_in - 0.18 - 0.2 * line
        _write(axes, 0.2, y, text, size_pt, ha="left", va="top", color=color)


def heading_width(heading: Sequence[str]) -> float:
    """Return the width in inches of the widest line of the heading."""
    return max(*(text_width(line, TITLE_PT) for line in heading[:-1]), text_width(heading[-1]), 0.0)


def write_levels(axes: Axes, network: Network, layout: Layout) -> None:
    """Write the number of each level of a tree at its left."""
    if network.arrangement != "levels" or max(network.levels) > LABELLED_LEVELS:
        return
    for level in sorted(set(network.levels)):
        y = layout.points[network.levels.index(level)][1]
        _write(axes, 0.2, y, f"level {level}", BYTES_PT, ha="left", color=GREY)


def _write(
    axes: Axes, x: float, y: float, text: str, size_pt: float = NAME_PT, **style: Any
) -> None:
    """Write a text as it is: no mathematics between dollar signs."""
    style = {"ha": "center", "va": "center", "color": INK, "zorder": 4, **style}
    axes.text(float(x), float(y), text, fontsize=size_pt, parse_math=False, **style)
