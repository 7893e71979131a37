"""Invariants of every network, built by a shipped topology or by a user's own."""

from __future__ import annotations

from collections import Counter

from protocols.errors import TopologyError
from protocols.topologies.network import Network

CHECKED_ROUNDS = 4
"""Rounds whose hops are checked if a schedule has no period or a longer period."""

TOLERANCE = 1e-9
"""Tolerance on the sums of rows and columns of a mixing matrix, which are 1."""


def check(network: Network, agents: int, kind: str) -> None:
    """Refuse a network that cannot be run.

    Raises:
        TopologyError: naming the topology, what was expected, what came and the hint.
    """
    _check_nodes(network, agents, kind)
    _check_edges(network, kind)
    _check_connected(network, kind)
    _check_levels(network, kind)
    for round in range(min(network.period or CHECKED_ROUNDS, CHECKED_ROUNDS)):
        _check_hops(network, round, kind)
        _check_mixing(network, round, kind)


def _check_nodes(network: Network, agents: int, kind: str) -> None:
    if network.agents != agents:
        raise TopologyError(
            f"{kind} built a network of another size",
            expected=f"{agents} agents",
            actual=f"{network.agents} agents",
            hint="let the topology build exactly the requested number",
        )
    for name, values in (("roles", network.roles), ("levels", network.levels)):
        if len(values) != agents or any(value in ("", None) for value in values):
            raise TopologyError(
                f"{kind} does not give every agent its {name}",
                expected=f"{agents} {name}, none empty",
                actual=f"{len(values)}: {_some(values)}",
                hint=f"set {name} to one entry per agent",
            )


def _check_edges(network: Network, kind: str) -> None:
    outside = [edge for edge in network.edges if edge[0] < 0 or edge[1] >= network.agents]
    if outside:
        raise TopologyError(
            f"{kind} has edges to agents that do not exist",
            expected=f"agents 0 to {network.agents - 1}",
            actual=f"edges {_some(outside)}",
            hint="number the agents from 0",
        )
    loops = [edge for edge in network.edges if edge[0] == edge[1]]
    if loops:
        raise TopologyError(
            f"{kind} connects agents to themselves",
            expected="no self-loops",
            actual=f"{len(loops)} self-loops: {_some(loops)}",
            hint="leave them out: an agent's weight on itself is part of the mixing weights anyway",
        )


def _check_connected(network: Network, kind: str) -> None:
    reached = {0}
    frontier = [0]
    while frontier:
        news = network.neighbours(frontier.pop()) - reached
        reached |= news
        frontier.extend(news)
    cut_off = [agent for agent in range(network.agents) if agent not in reached]
    if cut_off:
        raise TopologyError(
            f"{kind} is not connected",
            expected="a path between every two agents",
            actual=f"{len(cut_off)} agents cannot be reached from agent 0: {_some(cut_off)}",
            hint="add edges, or use fewer agents",
        )


def _check_levels(network: Network, kind: str) -> None:
    """A family other than peers has one root, and every other agent exactly one parent."""
    if network.family == "peer":
        return
    roots = [agent for agent, level in enumerate(network.levels) if level == 0]
    above = Counter(
        max(edge, key=lambda agent: network.levels[agent])
        for edge in network.edges
        if abs(network.levels[edge[0]] - network.levels[edge[1]]) == 1
    )
    orphans = [agent for agent in range(network.agents) if above[agent] != (agent not in roots)]
    if len(roots) != 1 or orphans:
        raise TopologyError(
            f"{kind} is {network.family} but its levels are not a tree",
            expected="one agent at level 0, and for each other agent one neighbour a level up",
            actual=f"roots {_some(roots)}; agents with another number of parents: {_some(orphans)}",
            hint="set the levels to the distance from the root, or use the family 'peer'",
        )


def _check_hops(network: Network, round: int, kind: str) -> None:
    edges = [edge for hop in network.hops(round) for edge in hop.edges]
    strangers = [
        (sender, receiver)
        for sender, receiver in edges
        if not 0 <= sender < network.agents or receiver not in network.neighbours(sender)
    ]
    if strangers:
        raise TopologyError(
            f"{kind} sends between agents that share no edge in round {round}",
            expected="hops along the edges of the network",
            actual=f"{len(strangers)} others: {_some(strangers)}",
            hint="list every edge that is ever live in the network's edges",
        )


def _check_mixing(network: Network, round: int, kind: str) -> None:
    columns = [0.0] * network.agents
    for agent in range(network.agents):
        weights = network.mixing_weights(agent, round)
        strangers = weights.keys() - network.neighbours(agent) - {agent}
        if strangers or min(weights.values()) < -TOLERANCE or _off(sum(weights.values())):
            raise TopologyError(
                f"the mixing weights of {kind} are wrong for agent {agent} in round {round}",
                expected="weights of at least 0 on itself and its neighbours that sum to 1",
                actual=weights,
                hint="use protocols.topologies.mixing.metropolis_hastings",
            )
        for other, weight in weights.items():
            columns[other] += weight
    wrong = [agent for agent, total in enumerate(columns) if _off(total)]
    if wrong:
        raise TopologyError(
            f"the mixing weights of {kind} do not keep the mean in round {round}",
            expected="weights that sum to 1 over the receivers of an agent, too",
            actual=f"{len(wrong)} others; agent {wrong[0]} has {columns[wrong[0]]:.6g}",
            hint="let every agent send to as many as send to it, or override mixing_weights",
        )


def _off(total: float) -> bool:
    return abs(total - 1.0) > TOLERANCE


def _some(values: object) -> str:
    """Return the first few of many values, for a message."""
    listed = list(values)  # type: ignore[call-overload]
    return ", ".join(map(str, listed[:5])) + (", ..." if len(listed) > 5 else "")
