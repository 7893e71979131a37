"""The network panel of a report: a picture of the network, and facts about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentos.evaluation.base import Metric
from agentos.records.result import Quality
from agentos.reporting.charts.plotting import CROWD
from agentos.reporting.network.draw import busiest, draw_network
from agentos.reporting.network.graph_chart import graph_chart
from agentos.reporting.network.rounds import MAX_AGENTS, draw_rounds, vary
from agentos.reporting.page import data_uri
from agentos.reporting.pictures import to_svg
from agentos.reporting.units import bytes_text
from protocols.topologies import Network


def network_panel(
    network: Network,
    names: Sequence[str],
    sent: Mapping[tuple[int, int], int],
    rounds: Mapping[int, frozenset[tuple[int, int]]],
    scores: tuple[Metric, Mapping[str, Quality]] | None = None,
) -> dict[str, Any]:
    """Return the graph, the picture with its alternative text and caption, and the facts.

    Args:
        network: the agents and the edges between them.
        names: one per agent, each once.
        sent: (sender, receiver) -> bytes; those over edges that a fork has given up are a fact of their own.
        rounds: the edges that carried messages in each of the first rounds.
        scores: the main metric, and the arms that were measured, by name.
    """
    known = {frozenset(edge) for edge in network.edges}
    former = {pair: size for pair, size in sent.items() if frozenset(pair) not in known}
    sent = {pair: size for pair, size in sent.items() if pair not in former}
    shown = names if network.agents <= CROWD else None
    figure = draw_network(network, names=shown, bytes_by_edge=sent or None)
    edges = f"{network.edge_count:,} edge{'s' * (network.edge_count != 1)}"
    roles = {role: network.roles.count(role) for role in dict.fromkeys(network.roles)}
    facts = {"Family": network.family.replace("_", "–"), "Edges": f"{network.edge_count:,}"}
    facts |= {f"Role: {role}": f"{count:,}" for role, count in roles.items()}
    if max(network.levels) > 0:
        facts["Levels"] = str(max(network.levels) + 1)
    if network.diameter is not None:
        facts["Diameter"] = str(network.diameter)
    facts["Largest degree"] = str(network.max_degree)
    if sent:
        facts |= _most(names, sent)
    if former:
        facts["Bytes over edges of before the fork"] = bytes_text(sum(former.values()))
    varying = _varying(network, rounds)
    return {
        "graph": graph_chart(network, names, sent, varying, scores),
        "choices": list(varying),
        "picture": data_uri(to_svg(figure)),
        "alt": f"{network.agents} agents and the {edges} between them",
        "caption": "The agents and the edges between them"
        + (
            ". Widths and labels of edges show their bytes, both directions together."
            if sent
            else "."
        ),
        "rounds": _rounds(network, varying),
        "facts": [{"name": name, "value": value} for name, value in facts.items()],
    }


def _most(names: Sequence[str], sent: Mapping[tuple[int, int], int]) -> dict[str, str]:
    """Return the facts about the direction with the most bytes, or how many directions share the most."""
    most, busy = max(sent.values()), busiest(sent)
    if busy:
        direction = f"{names[busy[0]]} → {names[busy[1]]}"
        return {"Busiest direction": direction, "Bytes in that direction": bytes_text(most)}
    ties = sum(size == most for size in sent.values())
    return {"Most bytes in a direction": f"{bytes_text(most)}, in {ties:,} of {len(sent):,}"}


def _varying(
    network: Network, rounds: Mapping[int, frozenset[tuple[int, int]]]
) -> Mapping[int, frozenset[tuple[int, int]]]:
    """Return the rounds where one picture of all edges would mislead; none where it would not."""
    known = {frozenset(edge) for edge in network.edges}
    of_network = {
        round: edges
        for round, edges in rounds.items()
        if all(frozenset(edge) in known for edge in edges)
    }
    return of_network if of_network and vary(of_network) else {}


def _rounds(
    network: Network, rounds: Mapping[int, frozenset[tuple[int, int]]]
) -> dict[str, str] | None:
    """Return a picture by round; None without any, and for a crowd."""
    if network.agents > MAX_AGENTS or not rounds:
        return None
    listed = ", ".join(map(str, rounds))
    return {
        "picture": data_uri(to_svg(draw_rounds(network, rounds))),
        "alt": f"The edges that carried messages in rounds {listed}",
    }
