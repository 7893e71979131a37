"""The marks of a picture: an agent's role by colour and shape, an edge's bytes by width.

Shapes: N agents, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agentos.reporting.network.labels import INK, LABELLED_EDGES, text_width
from agentos.reporting.network.placement import Layout
from agentos.reporting.units import bytes_text
from protocols.topologies import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RASTERIZED_EDGES = 5_000
"""Edges above which a vector format holds them as an image: it would take many megabytes."""

THINNEST_PT, WIDEST_PT = 0.8, 5.0
LINE, QUIET = "#8a949e", "#c3c9cf"

# Colour (Okabe and Ito's palette, which colour-blind readers can tell apart), marker, and the ink
# that reads on it.
PEER = ("#0072B2", "o", "white")
TOP = ("#D55E00", "D", "white")
STYLES = {
    "peer": PEER,
    "master": TOP,
    "root": TOP,
    "relay": ("#E69F00", "s", INK),
    "slave": PEER,
    "leaf": PEER,
}
OTHER_STYLES = (("#009E73", "^", "white"), ("#CC79A7", "h", INK), ("#56B4E9", "v", INK))
LOOKS_AS_LARGE = {"D": 0.82, "s": 0.88, "^": 1.15, "v": 1.15}
"""Size of a marker that looks as large as a circle of size 1."""


def styles(network: Network) -> dict[str, tuple[str, str, str]]:
    """Return colour, marker and ink of each role in the network, top roles first."""
    ordered = [role for _, role in sorted(zip(network.levels, network.roles, strict=True))]
    roles = list(dict.fromkeys(ordered))
    others = [role for role in roles if role not in STYLES]
    return {
        role: STYLES.get(role) or OTHER_STYLES[others.index(role) % len(OTHER_STYLES)]
        for role in roles
    }


def inks(network: Network) -> list[str]:
    """Return, for each agent, the colour of a text inside its marker."""
    by_role = styles(network)
    return [by_role[role][2] for role in network.roles]


def draw_agents(axes: Axes, network: Network, layout: Layout) -> None:
    """Draw a marker for each agent.

    Args:
        axes: an axes whose unit is the inch.
        network: whose agents they are.
        layout: where they are.
    """
    roles = np.array(network.roles)
    for role, (color, marker, _) in styles(network).items():
        sizes_pt = 72 * layout.nodes_in[roles == role] * LOOKS_AS_LARGE.get(marker, 1.0)
        x, y = layout.points[roles == role].T
        rim = min(1.2, 0.06 * float(sizes_pt.min()))
        axes.scatter(
            x,
            y,
            s=sizes_pt**2,
            c=color,
            marker=marker,
            edgecolors="white",
            linewidths=rim,
            zorder=3,
        )


def draw_edges(
    axes: Axes, network: Network, layout: Layout, sent: Mapping[tuple[int, int], int] | None
) -> None:
    """Draw a line for each edge; one that carried no bytes is dotted.

    Args:
        axes: an axes whose unit is the inch.
        network: whose edges they are.
        layout: where its agents are.
        sent: bytes of each edge, both directions together, if they were counted.
    """
    from matplotlib.collections import LineCollection

    if not network.edges:
        return
    ends = layout.points[np.array(network.edges)]  # [E, 2 ends, 2]
    crossing = network.arrangement in ("circle", "free")
    crowding = len(ends) / 60
    alpha = float(np.clip(crowding**-0.5, 0.12, 1.0)) if crossing else 1.0
    node_in = float(np.median(layout.nodes_in))
    widest = float(np.clip(WIDEST_PT * node_in / 0.2, 0.8, WIDEST_PT))
    widths: NDArray[np.float64] = np.full(len(ends), float(np.clip(1.3 * crowding**-0.4, 0.4, 1.3)))
    silent = np.zeros(len(ends), dtype=bool)
    if sent:
        payload_bytes = np.array([sent[edge] for edge in network.edges], dtype=float)
        shares = payload_bytes / max(1.0, float(payload_bytes.max()))
        widths = THINNEST_PT + (widest - THINNEST_PT) * shares
        silent = payload_bytes == 0
    for chosen, style, color in ((~silent, "solid", LINE), (silent, "dotted", QUIET)):
        lines = LineCollection(
            list(ends[chosen]),
            linewidths=list(widths[chosen]),
            linestyles=style,
            colors=color,
            alpha=alpha,
            capstyle="round",
            zorder=1,
        )
        lines.set_rasterized(len(ends) > RASTERIZED_EDGES)
        axes.add_collection(lines, autolim=False)


def legend_width(network: Network, sent: Mapping[tuple[int, int], int] | None) -> float:
    """Return the width of the legend, in inches."""
    return sum(text_width(label) + 0.5 for label in (*styles(network), *_widest_edge(sent)))


def _widest_edge(sent: Mapping[tuple[int, int], int] | None) -> list[str]:
    """Return the legend's entry for the widest edge, if edges are not labelled themselves."""
    if not sent or len(sent) <= LABELLED_EDGES:
        return []
    return [f"{bytes_text(max(sent.values()))}, the most on an edge"]


def draw_legend(axes: Axes, network: Network, sent: Mapping[tuple[int, int], int] | None) -> None:
    """Draw what each marker means, and what the widest edge carried if edges are unlabelled."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=color, marker=marker, linestyle="", label=role,
               markersize=8 * LOOKS_AS_LARGE.get(marker, 1.0), markeredgecolor="white")
        for role, (color, marker, _) in styles(network).items()
    ]  # fmt: skip
    for label in _widest_edge(sent):
        entries.append(Line2D([], [], color=LINE, linewidth=3.0, label=label))
    axes.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=len(entries),
        frameon=False, fontsize=8, borderaxespad=0.6, handletextpad=0.5, columnspacing=1.4,
        labelcolor=INK,
    )  # fmt: skip
