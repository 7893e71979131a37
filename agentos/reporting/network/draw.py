"""Pictures of networks: roles by colour and shape, levels top to bottom, bytes on the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from agentos.reporting.network.labels import EM, NAME_PT, Label, edge_labels, name_labels
from agentos.reporting.network.positions import Points, marker_sizes, place
from agentos.reporting.units import bytes_text
from protocols.errors import ConfigurationError
from protocols.topologies import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_DRAWN, NAMED_AGENTS, LABELLED_EDGES = 2_000, 60, 40
"""Most agents that are drawn one by one, most that are named, and most edges with their bytes."""
SHORT_NAME, SMALLEST_PT = 3, 5.0
"""Longest name that is written inside a marker, and the smallest font."""
RASTERIZED_EDGES = 5_000
"""Edges above which a vector format holds them as an image: it would take many megabytes."""
INK, GREY, LINE, QUIET = "#2b2f33", "#6b747d", "#8a949e", "#c3c9cf"
HALO = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
# Colour (Okabe and Ito's palette, which colour-blind readers can tell apart), marker, the ink that
# reads on it, and the scale at which the marker looks as large as a circle.
LOW, TOP = ("#0072B2", "o", "white", 1.0), ("#D55E00", "D", "white", 0.82)
RELAY = ("#E69F00", "s", INK, 0.88)
STYLES = {"peer": LOW, "slave": LOW, "leaf": LOW, "relay": RELAY, "root": TOP, "master": TOP}
OTHERS = (("#009E73", "^", "white", 1.15), ("#CC79A7", "h", INK, 1.0), ("#56B4E9", "v", INK, 1.15))


def draw_network(
    network: Network,
    *,
    title: str | None = None,
    names: Sequence[str] | None = None,
    bytes_by_edge: Mapping[tuple[int, int], int] | None = None,
) -> Figure:
    """Draw a network; one that varies is drawn with every edge that is ever live.

    Up to 60 agents are named; above, only what still fits is written. Above 2,000 agents the
    picture holds the figures alone.

    Args:
        network: what to draw.
        title: written above.
        names: one per agent; by default its number.
        bytes_by_edge: bytes sent by (sender, receiver); both directions of an edge are added up.
            Edges become as wide as their bytes, and up to 40 edges are labelled with them.

    Raises:
        ConfigurationError: the names are not one per agent, or bytes are given for what is no edge.
    """
    if names is not None and len(names) != network.agents:
        raise ConfigurationError(
            "the names do not fit the network",
            expected=f"{network.agents} names",
            actual=f"{len(names)} names",
            hint="give one name per agent",
        )
    sent = None if bytes_by_edge is None else _both_ways(network, bytes_by_edge)
    if network.agents > MAX_DRAWN:
        picture = _Picture(np.zeros(2), np.array([6.0, 0.1]))
        picture.head(title, f"{_facts(network, sent)}; too many agents to draw one by one")
        return picture.figure
    short = names is None or max(map(len, names)) <= SHORT_NAME
    outside = names if names and not short and network.agents <= NAMED_AGENTS else None
    labelled = sent is not None and 0 < len(sent) <= LABELLED_EDGES
    points = place(network, NAME_PT * EM * max(map(len, outside)) if outside else 0.0, labelled)
    sizes = marker_sizes(network, points) * (0.7 if outside else 1.0)
    labels = name_labels(network, points, sizes, outside) if outside else []
    if sent and labelled:
        texts = [bytes_text(sent[edge]) for edge in network.edges]
        labels += edge_labels(network, points, sizes, texts, labels)
    corners = [points - sizes[:, None] / 2, points + sizes[:, None] / 2]
    corners += [np.array([x.centre - x.half, x.centre + x.half]) for x in labels]
    picture = _Picture(np.vstack(corners).min(axis=0), np.vstack(corners).max(axis=0))
    picture.draw_edges(network, points, sent)
    inside = names if names and short else [str(agent) for agent in range(network.agents)]
    picture.draw_agents(network, points, sizes, [] if outside else inside)
    for label in labels:
        picture.write(label, bbox=HALO)
    picture.head(title, _facts(network, sent))
    picture.explain(network, max(sent.values()) if sent and not labelled else None)
    return picture.figure


def _both_ways(
    network: Network, bytes_by_edge: Mapping[tuple[int, int], int]
) -> dict[tuple[int, int], int]:
    """Return the bytes of each of the network's edges, both directions together."""
    sent = dict.fromkeys(network.edges, 0)
    for (a, b), payload_bytes in bytes_by_edge.items():
        edge = (a, b) if a <= b else (b, a)
        if edge not in sent:
            raise ConfigurationError(
                "bytes were counted where the network has no edge",
                expected="edges of the network",
                actual=(a, b),
                hint="draw the network that the bytes were counted on",
            )
        sent[edge] += payload_bytes
    return sent


def _facts(network: Network, sent: Mapping[tuple[int, int], int] | None) -> str:
    agents, edges = network.agents, network.edge_count
    total = f", {bytes_text(sum(sent.values()))} both ways" if sent else ""
    return f"{agents:,} agent{'s' * (agents != 1)}, {edges:,} edge{'s' * (edges != 1)}{total}"


def _styles(network: Network) -> dict[str, tuple[str, str, str, float]]:
    """Return colour, marker, ink and scale of each role in the network, top roles first."""
    roles = dict.fromkeys(r for _, r in sorted(zip(network.levels, network.roles, strict=True)))
    unknown = [role for role in roles if role not in STYLES]
    others = {role: OTHERS[i % len(OTHERS)] for i, role in enumerate(unknown)}
    return {role: {**STYLES, **others}[role] for role in roles}


class _Picture:
    """A figure whose unit is the inch, made without pyplot: it would keep every figure open.

    Args:
        low, high: corners of what is drawn; headings and legends go beyond them.
    """

    def __init__(self, low: Points, high: Points) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=tuple(high - low), facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        self.axes.set_axis_off()

    def draw_edges(
        self, network: Network, points: Points, sent: Mapping[tuple[int, int], int] | None
    ) -> None:
        """Draw a line for each edge, as wide as its bytes; one that carried none is dotted."""
        from matplotlib.collections import LineCollection

        ends = points[np.array(network.edges, dtype=int).reshape(-1, 2)]  # [E, 2 ends, 2]
        crowding = max(len(ends), 1) / 60
        alpha = 1.0 if max(network.levels) else float(np.clip(crowding**-0.5, 0.12, 1.0))
        carried = np.array([sent[edge] if sent else 0 for edge in network.edges], dtype=float)
        widths = np.full(len(ends), np.clip(1.3 * crowding**-0.4, 0.4, 1.3))
        if sent:
            widest = float(np.clip(5 - crowding, 1.5, 5.0))
            widths = 0.8 + (widest - 0.8) * carried / max(1.0, float(carried.max()))
        silent = (carried == 0) & bool(sent)
        for chosen, style, color in ((~silent, "solid", LINE), (silent, "dotted", QUIET)):
            lines = LineCollection(
                list(ends[chosen]), linewidths=list(widths[chosen]), linestyles=style,
                colors=color, alpha=alpha, zorder=1, rasterized=len(ends) > RASTERIZED_EDGES,
            )  # fmt: skip
            self.axes.add_collection(lines, autolim=False)

    def draw_agents(
        self, network: Network, points: Points, sizes: Points, inside: Sequence[str]
    ) -> None:
        """Draw a marker for each agent, with a text inside where it is large enough to read."""
        roles, styles = np.array(network.roles), _styles(network)
        for role, (color, marker, _, scale) in styles.items():
            chosen = roles == role
            x, y = points[chosen].T
            self.axes.scatter(
                x, y, (72 * scale * sizes[chosen]) ** 2, color, marker=marker,
                edgecolors="white", linewidths=min(1.2, 4 * float(sizes.min())), zorder=3,
            )  # fmt: skip
        longest = max(map(len, inside), default=1)
        for text, point, size, role in zip(inside, points, sizes, network.roles, strict=False):
            size_pt = min(9.5, size * 0.68 / (EM * max(longest, 2)))
            if size_pt >= SMALLEST_PT:
                self.write(Label(text, point, size_pt), color=styles[role][2])

    def write(
        self, label: Label, color: str = INK, bbox: Mapping[str, object] | None = None
    ) -> None:
        """Write a label as it is: a dollar sign begins no formula."""
        x, y = label.centre
        self.axes.text(
            x, y, label.text, size=label.size_pt, rotation=label.angle, color=color,
            ha="center", va="center", bbox=bbox, zorder=5, parse_math=False,
        )  # fmt: skip

    def head(self, title: str | None, facts: str) -> None:
        """Write the title above the picture, and under it the figures of the network."""
        for text, size_pt, color, above_pt in ((title, 11, INK, 26), (facts, 8, GREY, 12)):
            self.axes.annotate(
                text or "", (0, 1), (0, above_pt), "axes fraction", textcoords="offset points",
                size=size_pt, color=color, parse_math=False,
            )  # fmt: skip

    def explain(self, network: Network, most: int | None) -> None:
        """Explain the markers below the picture, and the bytes of the widest edge if given."""
        for role, (color, marker, _, scale) in _styles(network).items():
            self.axes.plot([], [], marker, color=color, mec="white", ms=8 * scale, label=role)
        if most is not None:
            self.axes.plot(
                [], [], color=LINE, lw=3, label=f"{bytes_text(most)}, the most on an edge"
            )
        self.axes.legend(
            loc="upper left", bbox_to_anchor=(0, 0), ncols=9, frameon=False, fontsize=8,
            borderaxespad=0.8, handletextpad=0.5, labelcolor=INK,
        )  # fmt: skip
