"""The network panel of a report: a picture of the network, and facts about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentos.reporting.charts.plotting import CROWD
from agentos.reporting.network.draw import draw_network
from agentos.reporting.page import data_uri
from agentos.reporting.pictures import to_svg
from agentos.reporting.units import bytes_text
from protocols.topologies import Network


def network_panel(
    network: Network, names: Sequence[str], sent: Mapping[tuple[int, int], int]
) -> dict[str, Any]:
    """Return the picture, its alternative text and caption, and the facts.

    Args:
        network: the agents and the edges between them.
        names: one per agent, each once.
        sent: (sender, receiver) -> bytes; those over edges that a fork has given up are a fact of their own.
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
        (sender, receiver), most = max(sent.items(), key=lambda item: item[1])
        facts["Busiest direction"] = f"{names[sender]} → {names[receiver]}"
        facts["Bytes in that direction"] = bytes_text(most)
    if former:
        facts["Bytes over edges of before the fork"] = bytes_text(sum(former.values()))
    return {
        "picture": data_uri(to_svg(figure)),
        "alt": f"{network.agents} agents and the {edges} between them",
        "caption": "The agents and the edges between them"
        + (
            ". Widths and labels of edges show their bytes, both directions together."
            if sent
            else "."
        ),
        "facts": [{"name": name, "value": value} for name, value in facts.items()],
    }
