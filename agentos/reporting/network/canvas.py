"""The sheet that networks are drawn on: edges, arrows, agents and texts, in inches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agentos.reporting.network.labels import EM, Label
from agentos.reporting.network.positions import Points
from protocols.topologies import Network

SMALLEST_PT = 5.0
"""The smallest font."""
RASTERIZED_EDGES = 5_000
"""Above this number, edges are an image even in a vector format: as lines they take many megabytes."""
BUSIEST = "#CC3311"
INK, GREY, LINE, QUIET = "#2b2f33", "#6b747d", "#8a949e", "#c3c9cf"
HALO = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
# Colour (Okabe and Ito's palette, which colour-blind readers can tell apart), marker, the ink that
# is legible on it, and the scale at which the marker looks as large as a circle.
LOW, TOP = ("#0072B2", "o", "white", 1.0), ("#D55E00", "D", "white", 0.82)
RELAY = ("#E69F00", "s", INK, 0.88)
STYLES = {"peer": LOW, "slave": LOW, "leaf": LOW, "relay": RELAY, "root": TOP, "master": TOP}
OTHERS = (("#009E73", "^", "white", 1.15), ("#CC79A7", "h", INK, 1.0), ("#56B4E9", "v", INK, 1.15))


class Canvas:
    """A figure whose unit is the inch, made without pyplot: it would keep every figure open.

    Args:
        low, high: corners of the drawing; headings and legends extend beyond them.
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
        self, network: Network, ends: list[Points], sent: Mapping[tuple[int, int], int] | None
    ) -> None:
        """Draw a line for each edge, as wide as its bytes; an edge that carried no bytes is dotted."""
        from matplotlib.collections import LineCollection

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
                [ends[edge] for edge in np.flatnonzero(chosen)],
                linewidths=list(widths[chosen]), linestyles=style, colors=color,
                alpha=alpha, zorder=1, rasterized=len(ends) > RASTERIZED_EDGES,
            )  # fmt: skip
            self.axes.add_collection(lines, autolim=False)

    def point_out(
        self, network: Network, paths: list[Points], sizes: Points, busy: tuple[int, int]
    ) -> None:
        """Draw an arrow above all edges, from sender to receiver."""
        sender, receiver = busy
        edge = network.edges.index((min(busy), max(busy)))
        path = paths[edge] if sender < receiver else paths[edge][::-1]
        self.arrow(path, float(sizes[receiver]) / 2, BUSIEST, 2.2)

    def line(self, path: Points, color: str, width: float, zorder: int = 1) -> None:
        """Draw a path."""
        self.axes.plot(*path.T, color=color, lw=width, zorder=zorder, solid_capstyle="butt")

    def arrow(self, path: Points, gap: float, color: str, width: float) -> None:
        """Draw a path that ends in an arrow, at the rim of the receiver's marker."""
        self.line(path, color, width, zorder=2)
        distances = np.linalg.norm(path - path[-1], axis=1)
        before = path[int(np.flatnonzero(distances > gap)[-1])] if distances[0] > gap else path[0]
        way = (path[-1] - before) / (np.linalg.norm(path[-1] - before) or 1.0)
        tip = path[-1] - way * gap
        self.axes.annotate(
            "", tip, tip - way * 0.12, annotation_clip=False, zorder=4,
            arrowprops={"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip

    def draw_agents(
        self, network: Network, points: Points, sizes: Points, inside: Sequence[str]
    ) -> None:
        """Draw a marker for each agent, with a text inside if it is large enough to read."""
        roles, styles = np.array(network.roles), role_styles(network)
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
        """Write a label literally: a dollar sign does not begin a formula."""
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

    def explain(self, network: Network, notes: Mapping[str, str]) -> None:
        """Explain the markers below the picture, and lines by their colours."""
        for role, (color, marker, _, scale) in role_styles(network).items():
            self.axes.plot([], [], marker, color=color, mec="white", ms=8 * scale, label=role)
        for text, color in notes.items():
            self.axes.plot([], [], color=color, lw=3, label=text.replace("$", r"\$"))
        self.axes.legend(
            loc="upper left", bbox_to_anchor=(0, 0), ncols=9, frameon=False, fontsize=8,
            borderaxespad=0.8, handletextpad=0.5, labelcolor=INK,
        )  # fmt: skip


def role_styles(network: Network) -> dict[str, tuple[str, str, str, float]]:
    """Return colour, marker, ink and scale of each role in the network, top roles first."""
    roles = dict.fromkeys(r for _, r in sorted(zip(network.levels, network.roles, strict=True)))
    unknown = [role for role in roles if role not in STYLES]
    others = {role: OTHERS[i % len(OTHERS)] for i, role in enumerate(unknown)}
    return {role: {**STYLES, **others}[role] for role in roles}
