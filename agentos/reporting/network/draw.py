"""Pictures of networks: roles by colour and shape, levels top to bottom, bytes on the edges."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agentos.records.metrics_log import writing
from agentos.reporting.network import labels as labels
from agentos.reporting.network import marks as marks
from agentos.reporting.network.placement import Layout, Room, lay_out
from agentos.reporting.units import bytes_text
from protocols.errors import ConfigurationError
from protocols.topologies import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_DRAWN = 2_000
"""Most agents that are drawn one by one."""

SUFFIXES = (".png", ".svg", ".pdf")


def draw_network(
    network: Network,
    *,
    title: str | None = None,
    names: Sequence[str] | None = None,
    bytes_by_edge: Mapping[tuple[int, int], int] | None = None,
) -> Figure:
    """Draw a network; one that varies is drawn with every edge that is ever live.

    Up to 60 agents are named; above, only what still fits is written. Above 2,000 agents the
    picture says so in words.

    Args:
        network: what to draw.
        title: written above.
        names: one per agent; by default its number.
        bytes_by_edge: bytes sent by (sender, receiver); both directions of an edge are added up.
            Edges become as wide as their bytes, and up to 40 edges are labelled with them.

    Raises:
        ConfigurationError: the names are not one per agent, or bytes are given for what is no edge.

    Example:
        >>> from protocols.topologies import TOPOLOGIES
        >>> figure = draw_network(TOPOLOGIES["ring"]().build(agents=4, seed=0), title="Four peers")
        >>> to_svg(figure)[:4]
        '<svg'
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
        return _in_words(network, title)
    beside = names if labels.are_beside(names) else None
    labelled = sent is not None and 0 < len(sent) <= labels.LABELLED_EDGES
    heading = _heading(network, title, sent)
    least_in = max(labels.heading_width(heading), marks.legend_width(network, sent)) + 0.4
    layout = _lay_out(network, len(heading), beside, least_in, labelled)
    figure, axes = _page(layout.width_in, layout.height_in)
    taken = labels.Taken(network, layout)
    marks.draw_edges(axes, network, layout, sent)
    marks.draw_agents(axes, network, layout)
    if beside:
        labels.write_beside(axes, network, layout, beside, taken)
    else:
        inside = names if names and labels.are_short(names) else range(network.agents)
        labels.write_inside(axes, layout, [str(name) for name in inside], marks.inks(network))
    if sent and labelled:
        labels.write_bytes(axes, network, sent, taken)
    labels.write_heading(axes, layout, heading)
    labels.write_levels(axes, network, layout)
    marks.draw_legend(axes, network, sent)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a picture as PNG, SVG or PDF, by the suffix of the path; missing folders are made.

    The same picture gives the same bytes: no date is written.

    Raises:
        ConfigurationError: the suffix is another one.
        RecordError: the file cannot be written.
    """
    from matplotlib import rc_context

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigurationError(
            f"cannot draw into {path.name}",
            expected=f"a file name that ends in {', '.join(SUFFIXES)}",
            actual=path.suffix or "no suffix",
            hint="change the file name",
        )
    undated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix]
    with writing(path), rc_context({"svg.fonttype": "none", "svg.hashsalt": "agentos"}):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=suffix[1:], dpi=200, metadata=undated)


def to_svg(figure: Figure) -> str:
    """Return a picture as an ``<svg>`` element to put into a page: as wide as its container."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "agentos"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    element = text[text.index("<svg") :].rstrip()
    head, rest = element.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    # Matplotlib's style sheet speaks of all elements, and would reach the whole page.
    rest = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", rest, flags=re.DOTALL)
    style = "stroke-linejoin: round; stroke-linecap: butt"
    return f'{head} width="100%" role="img" style="{style}">{rest}'


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


def _heading(
    network: Network, title: str | None, sent: Mapping[tuple[int, int], int] | None
) -> list[str]:
    """Return the title, in as many lines as it takes, and under it what the picture shows."""
    agents, edges = network.agents, network.edge_count
    facts = [f"{agents:,} agent{'s' * (agents != 1)}", f"{edges:,} edge{'s' * (edges != 1)}"]
    if sent:
        facts.append(f"{bytes_text(sum(sent.values()))} both ways")
    return [*(textwrap.wrap(title, 56) if title else []), ", ".join(facts)]


def _lay_out(
    network: Network,
    heading_lines: int,
    beside: Sequence[str] | None,
    least_width_in: float,
    bytes_on_edges: bool,
) -> Layout:
    """Lay the network out with room for heading, legend, and the names beside agents."""
    name_in = max(map(labels.text_width, beside)) if beside else 0.0
    tree, circle = network.arrangement == "levels", network.arrangement == "circle"
    side = 0.4 if not beside else 0.35 + name_in
    ends = side if beside and circle and network.agents > 16 else 0.4
    room = Room(
        left_in=(0.9 + name_in / 2) if tree else side,
        right_in=side,
        top_in=ends + 0.2 * heading_lines + 0.1,
        bottom_in=ends + 0.35,
        least_width_in=least_width_in,
        name_in=name_in,
        bytes_on_edges=bytes_on_edges,
    )
    layout = lay_out(network, room)
    if beside and labels.stands_upright(network, layout, beside):
        return lay_out(network, replace(room, bottom_in=room.bottom_in + name_in))
    return layout


def _page(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Return a white page and an axes over all of it, whose unit is the inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width_in), ylim=(0, height_in))
    axes.set_axis_off()
    return figure, axes


def _in_words(network: Network, title: str | None) -> Figure:
    """Return a picture that only says how large the network is."""
    figure, axes = _page(6.0, 1.6)
    lines = [
        *_heading(network, title, None),
        f"More than {MAX_DRAWN:,} agents are not drawn one by one.",
    ]
    axes.text(3.0, 0.8, "\n".join(lines), ha="center", va="center", fontsize=10, parse_math=False)
    return figure
