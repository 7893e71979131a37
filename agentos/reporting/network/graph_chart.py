"""The network of a report as a chart to explore: figures of agents and edges under the pointer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from agentos.evaluation.base import Metric
from agentos.records.result import Quality
from agentos.reporting.charts.plotting import CROWD, Chart, Trace, label
from agentos.reporting.network.canvas import BUSIEST, role_styles
from agentos.reporting.network.draw import busiest
from agentos.reporting.network.edge_paths import along, edge_paths
from agentos.reporting.network.positions import Points, marker_sizes, place
from agentos.reporting.units import bytes_text, metric_text
from protocols.topologies import Network

ID = "network-graph"
MOST_AGENTS, MOST_EDGES, LABELLED_EDGES, NAMED = 300, 1_500, 12, 12
"""Largest network that is drawn so; most edges whose bytes, and most agents whose names, are written."""
_SYMBOLS = {
    "o": "circle",
    "D": "diamond",
    "s": "square",
    "^": "triangle-up",
    "h": "hexagon",
    "v": "triangle-down",
}
_WIDTHS = (1.0, 2.0, 3.5, 5.0)
_NEIGHBOURS = 8

Sent = Mapping[tuple[int, int], int]
Rounds = Mapping[int, Collection[tuple[int, int]]]


def graph_chart(
    network: Network,
    names: Sequence[str],
    sent: Sent,
    rounds: Rounds,
    scores: tuple[Metric, Mapping[str, Quality]] | None = None,
) -> Chart | None:
    """Return the network as a chart; None for one that is too large.

    Args:
        network: the agents and the edges between them.
        names: one per agent.
        sent: (sender, receiver) -> bytes.
        rounds: edges that carried messages, of the rounds to choose from; empty if all are alike.
        scores: the main metric, and the arms that were measured, by name.
    """
    if network.agents > MOST_AGENTS or network.edge_count > MOST_EDGES:
        return None
    points = place(network, 0.0, False)
    paths = edge_paths(network, points, marker_sizes(network, points))
    traces = [
        *_edges(network, paths, sent),
        *_of_rounds(network, paths, rounds),
        _pointed_at(network, paths),
        _middles(network, names, paths, sent),
        *_agents(network, names, points, sent, scores),
    ]
    plain = {"visible": False}
    square = plain | {"scaleanchor": "x"}
    span = np.ptp(points, axis=0)
    return Chart(
        id=ID,
        title="Agents and edges",
        caption="Point at an agent or the middle of an edge for its figures. Wide lines carried more bytes.",
        traces=[{"type": "scatter", "showlegend": False} | trace for trace in traces],
        layout={"xaxis": plain, "yaxis": square, "margin": {"l": 10, "r": 10, "t": 10, "b": 10}},
        height_px=int(np.clip(140 + 480 * span[1] / max(span[0], 1e-9), 240, 520)),
    )


def _edges(network: Network, paths: Sequence[Points], sent: Sent) -> Iterator[Trace]:
    """Yield a line trace for each width; the direction with the most bytes has a colour of its own."""
    both = [sent.get((a, b), 0) + sent.get((b, a), 0) for a, b in network.edges]
    most = max(both, default=0)
    unlike = most > min(both, default=0)
    classes = [int(np.ceil(3 * size / most)) if unlike else 1 for size in both]
    for width in sorted(set(classes)):
        chosen = [path for path, found in zip(paths, classes, strict=True) if found == width]
        dash = "dot" if sent and not width else "solid"
        yield _line(chosen, "--before", _WIDTHS[width], dash)
    busy = busiest(sent)
    if busy:
        edge = network.edges.index((min(busy), max(busy)))
        yield _line([paths[edge]], BUSIEST, 2.0)


def _of_rounds(network: Network, paths: Sequence[Points], rounds: Rounds) -> Iterator[Trace]:
    """Yield the live edges of each round, hidden until the round is chosen."""
    for round, live in rounds.items():
        chosen = [
            path
            for (a, b), path in zip(network.edges, paths, strict=True)
            if (a, b) in live or (b, a) in live
        ]
        yield _line(chosen, "--together", 4.0) | {"visible": False, "meta": {"shown": str(round)}}


def _pointed_at(network: Network, paths: Sequence[Points]) -> Trace:
    """Return the edges of the agent under the pointer: empty, until the page's script fills it."""
    ends = [[a, b, *map(_short, path.T)] for (a, b), path in zip(network.edges, paths, strict=True)]
    line = {"color": "--ink", "width": 3}
    return {
        "mode": "lines",
        "x": [],
        "y": [],
        "line": line,
        "hoverinfo": "skip",
        "meta": {"edges": ends},
    }


def _middles(network: Network, names: Sequence[str], paths: Sequence[Points], sent: Sent) -> Trace:
    """Return the middles of the edges, with their bytes."""
    # Not all at one half: the bytes of neighbouring edges would cover each other.
    shares = [0.42 + 0.08 * (edge % 3) for edge in range(len(paths))]
    middles = np.array(list(map(along, paths, shares))).reshape(-1, 2)
    told = []
    for a, b in network.edges:
        ways = [
            f"{label(names[i])} → {label(names[j])}: {bytes_text(sent.get((i, j), 0))}"
            for i, j in ((a, b), (b, a))
        ]
        told.append("<br>".join(ways))
    written = bool(sent) and network.edge_count <= LABELLED_EDGES
    sizes = [bytes_text(sent.get((a, b), 0) + sent.get((b, a), 0)) for a, b in network.edges]
    return {
        "mode": "markers+text" if written else "markers",
        "x": _short(middles[:, 0]),
        "y": _short(middles[:, 1]),
        "text": sizes if written else None,
        "textposition": "middle center",
        "hovertext": told,
        "hoverinfo": "text",
        "marker": {"size": 14, "color": "--card", "opacity": 0.75 if written else 0.0},
        "meta": {"wide": True},  # on a phone there is no room for the texts
    }


def _agents(
    network: Network,
    names: Sequence[str],
    points: Points,
    sent: Sent,
    scores: tuple[Metric, Mapping[str, Quality]] | None,
) -> Iterator[Trace]:
    """Yield the agents of each role."""
    roles = np.array(network.roles)
    for role, (hue, marker, _, _) in role_styles(network).items():
        chosen = np.flatnonzero(roles == role).tolist()
        few = network.agents <= NAMED
        yield {
            "mode": "markers+text" if few else "markers",
            "name": label(role),
            "showlegend": True,
            "x": _short(points[chosen, 0]),
            "y": _short(points[chosen, 1]),
            "text": [label(names[agent], 16) for agent in chosen] if few else None,
            "textposition": [_side(agent, network, points) for agent in chosen],
            "hovertext": [_told(agent, network, names, sent, scores) for agent in chosen],
            "hoverinfo": "text",
            "customdata": chosen,
            "marker": {
                "size": 16 if network.agents <= CROWD else 9,
                "color": hue,
                "symbol": _SYMBOLS[marker],
                "line": {"color": "--card", "width": 1},
            },
        }


def _side(agent: int, network: Network, points: Points) -> str:
    """Return the side of an agent, above or below, on which its edges leave room for its name."""
    near = [b if a == agent else a for a, b in network.edges if agent in (a, b)]
    above = bool(near) and points[near, 1].mean() > points[agent, 1] + 1e-6
    return "bottom center" if above else "top center"


def _told(
    agent: int,
    network: Network,
    names: Sequence[str],
    sent: Sent,
    scores: tuple[Metric, Mapping[str, Quality]] | None,
) -> str:
    """Return the lines about an agent."""
    near = [b if a == agent else a for a, b in network.edges if agent in (a, b)]
    more = f" and {len(near) - _NEIGHBOURS} more" if len(near) > _NEIGHBOURS else ""
    gave, got = (sum(size for pair, size in sent.items() if pair[end] == agent) for end in (0, 1))
    lines = [f"{label(names[agent])} · {network.roles[agent]}"]
    lines.append(
        f"{len(near)} neighbours: {', '.join(label(names[i], 16) for i in near[:_NEIGHBOURS])}{more}"
    )
    lines.append(f"sent {bytes_text(gave)}, received {bytes_text(got)}")
    if scores is not None:
        metric, arms = scores
        values = [
            f"{metric_text(arm.value(agent, metric), metric)} {name}" for name, arm in arms.items()
        ]
        lines.append(f"{metric.title}: {', '.join(values)}")
    return "<br>".join(lines)


def _line(paths: Sequence[Points], hue: str, width: float, dash: str = "solid") -> Trace:
    """Return paths as one trace, with gaps between them."""
    gap = np.full((1, 2), np.nan)
    pieces = [piece for path in paths for piece in (path, gap)]
    x, y = np.vstack(pieces or [gap]).T
    return {
        "mode": "lines",
        "x": _short(x),
        "y": _short(y),
        "line": {"color": hue, "width": width, "dash": dash},
        "hoverinfo": "skip",
    }


def _short(values: Points) -> list[float | None]:
    """Return coordinates in hundredths of an inch: none is looked at more closely."""
    return [None if np.isnan(value) else round(float(value), 2) for value in values]
