"""Pictures of networks: roles by colour and shape, levels top to bottom, bytes on the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from agentos.reporting.network.canvas import BUSIEST, HALO, LINE, Canvas
from agentos.reporting.network.edge_paths import edge_paths
from agentos.reporting.network.labels import EM, NAME_PT, edge_labels, name_labels
from agentos.reporting.network.positions import marker_sizes, place
from agentos.reporting.units import bytes_text
from protocols.errors import ConfigurationError
from protocols.topologies import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_DRAWN, NAMED_AGENTS, LABELLED_EDGES, SHORT_NAME = 2_000, 60, 40, 3
"""Maximum agents drawn one by one, maximum agents named, maximum edges with their bytes, and
the longest name that is written inside a marker."""


def draw_network(
    network: Network,
    *,
    title: str | None = None,
    names: Sequence[str] | None = None,
    bytes_by_edge: Mapping[tuple[int, int], int] | None = None,
) -> Figure:
    """Draw a network; a varying network is drawn with every edge that is ever live, see `draw_rounds`.

    Edges bend around agents that they would pass under. The direction that carried the most bytes, if
    it is one alone, is red and ends in an arrow.

    Up to 60 agents are named; above, only what still fits is written. Above 2,000 agents the
    picture holds only the figures.

    Args:
        network: network to draw.
        title: text above the picture.
        names: one per agent; by default its number.
        bytes_by_edge: bytes sent by (sender, receiver); both directions of an edge are added up.
            Edges become as wide as their bytes, and up to 40 edges are labelled with them.

    Raises:
        ConfigurationError: the names are not one per agent, or bytes are given for a pair that is not an
        edge.
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
        picture = Canvas(np.zeros(2), np.array([6.0, 0.1]))
        picture.head(title, f"{_facts(network, sent)}; too many agents to draw one by one")
        return picture.figure
    short = names is None or max(map(len, names)) <= SHORT_NAME
    outside = names if names and not short and network.agents <= NAMED_AGENTS else None
    labelled = sent is not None and 0 < len(sent) <= LABELLED_EDGES
    points = place(network, NAME_PT * EM * max(map(len, outside)) if outside else 0.0, labelled)
    sizes = marker_sizes(network, points) * (0.7 if outside else 1.0)
    paths = edge_paths(network, points, sizes)
    labels = name_labels(network, points, sizes, outside) if outside else []
    if sent and labelled:
        texts = [bytes_text(sent[edge]) for edge in network.edges]
        labels += edge_labels(paths, points, sizes, texts, labels)
    corners = [points - sizes[:, None] / 2, points + sizes[:, None] / 2, *paths]
    corners += [np.array([x.centre - x.half, x.centre + x.half]) for x in labels]
    picture = Canvas(np.vstack(corners).min(axis=0), np.vstack(corners).max(axis=0))
    picture.draw_edges(network, paths, sent)
    busy = busiest(bytes_by_edge or {})
    if busy:
        picture.point_out(network, paths, sizes, busy)
    inside = names if names and short else [str(agent) for agent in range(network.agents)]
    picture.draw_agents(network, points, sizes, [] if outside else inside)
    for label in labels:
        picture.write(label, bbox=HALO)
    picture.head(title, _facts(network, sent))
    notes = (
        {}
        if labelled or not sent
        else {f"{bytes_text(max(sent.values()))}, the most on an edge": LINE}
    )
    if busy:
        a, b = (names[agent] if names else str(agent) for agent in busy)
        notes[f"{a} → {b}, {bytes_text((bytes_by_edge or {})[busy])}: the most in a direction"] = (
            BUSIEST
        )
    picture.explain(network, notes)
    return picture.figure


def busiest(bytes_by_edge: Mapping[tuple[int, int], int]) -> tuple[int, int] | None:
    """Return the (sender, receiver) with the most bytes; None if there is none, or several have as many."""
    most = max(bytes_by_edge.values(), default=0)
    found = [pair for pair, size in bytes_by_edge.items() if size == most and most > 0]
    return found[0] if len(found) == 1 else None


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
