"""A built topology: which agents are connected, and which send to which in every round.

Shapes: N agents, numbered 0..N-1; a mixing matrix is ``[N, N]``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from protocols.topologies import graph_metrics, mixing
from protocols.topologies.hops import Edge, Hop, fields_only, grouped
from protocols.topologies.mixing import Matrix

if TYPE_CHECKING:
    import networkx as nx

Family = Literal["peer", "master_slave", "layered"]
Arrangement = Literal["circle", "grid", "levels", "free"]

KEPT_ROUNDS = 16
"""Rounds of a time-varying network that are cached: each is read once per agent."""

RANDOM_WINDOW = 32
"""Rounds over which the spectral gap of a schedule that never repeats is measured."""


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """A built topology: an immutable value that holds the edges, and the hops of every round.

    A subclass implements the hops of a round (`_hops`); everything else follows. Lookup tables are
    built when first needed, and are not pickled.

    Args:
        agents: N.
        family: ``peer``, ``master_slave`` or ``layered``; exchanges depend on it.
        edges: every edge that is ever live, undirected; kept sorted, smaller agent first.
        roles: role of each agent, for instance ``peer``, ``master``, ``slave``, ``root``,
            ``relay``, ``leaf``.
        levels: distance of each agent from the top, which is level 0; peers are all at level 0.
        arrangement: how a drawing lays the agents out.
    """

    agents: int
    family: Family
    edges: tuple[Edge, ...]
    roles: tuple[str, ...]
    levels: tuple[int, ...]
    arrangement: Arrangement = "free"

    def __post_init__(self) -> None:
        unique = {(a, b) if a <= b else (b, a) for a, b in self.edges}
        object.__setattr__(self, "edges", tuple(sorted(unique)))

    @abstractmethod
    def _hops(self, round: int) -> tuple[Hop, ...]:
        """Return the hops of a round, computed anew; `hops` caches them."""

    @property
    def period(self) -> int | None:
        """Rounds after which the hops repeat: 1 for a fixed network, None if they never do."""
        return 1

    def hops(self, round: int) -> tuple[Hop, ...]:
        """Return the hops of a round, in order: none if there is only one agent.

        Peers have one hop, in which each live edge carries both ways (one way if the schedule is
        directed); master-slave gathers up and then broadcasts down; layered goes up level by level
        from the deepest, and then down level by level.
        """
        return self._plan(round).hops

    def senders(self, agent: int, round: int) -> tuple[int, ...]:
        """Return every agent that sends to ``agent`` in some hop of the round, ascending."""
        return self._plan(round).senders.get(agent, ())

    def neighbours(self, agent: int) -> frozenset[int]:
        """Return the agents that share an edge with ``agent`` in any round."""
        return self._neighbours[agent]

    def parent(self, agent: int) -> int | None:
        """Return the neighbour one level up, or None for a root or a peer."""
        return self._parents.get(agent)

    def children(self, agent: int) -> tuple[int, ...]:
        """Return the agents whose parent is ``agent``, ascending: none for a leaf or a peer."""
        return self._children.get(agent, ())

    def mixing_weights(self, agent: int, round: int) -> dict[int, float]:
        """Return the weights with which ``agent`` averages itself and its senders.

        They are Metropolis-Hastings weights over the round's live edges (see `mixing`): they sum to
        1, and need no more than the degrees of its senders.
        """
        senders = self._plan(round).senders
        degrees = {other: len(senders.get(other, ())) for other in senders.get(agent, ())}
        return mixing.metropolis_hastings(agent, degrees)

    def mixing(self, round: int) -> Matrix:
        """Return the mixing matrix ``[N, N]``, dense: row i is ``mixing_weights(i, round)``.

        It is doubly stochastic, and symmetric unless the schedule is directed.
        """
        rows = (self.mixing_weights(agent, round) for agent in range(self.agents))
        return mixing.dense(rows, self.agents)

    @cached_property
    def graph(self) -> nx.Graph:
        """The union of all edges ever live, on nodes 0..N-1; treat it as read-only."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(self.agents))
        graph.add_edges_from(self.edges)
        return graph

    @cached_property
    def spectral_gap(self) -> float | None:
        """Rate at which repeated mixing agrees, per round: 0 never, 1 at once. None above 2,000 agents.

        For a fixed network, 1 minus the second largest absolute eigenvalue of the mixing matrix.
        For one that varies, ``1 - ||P - J/N||_2 ** (1/T)`` where P is the product of the mixing
        matrices of one period of T rounds, from round 0 (of the first 32 rounds, if the schedule
        never repeats) and J is the matrix of ones: so that the figures of fixed and of varying
        networks compare.
        """
        if self.agents > graph_metrics.LIMIT:
            return None
        rounds = range(self.period or RANDOM_WINDOW)
        return mixing.spectral_gap(self.mixing(round) for round in rounds)

    @cached_property
    def diameter(self) -> int | None:
        """Most edges on a shortest path in `graph`. None above 2,000 agents."""
        return (
            graph_metrics.diameter(self._neighbours) if self.agents <= graph_metrics.LIMIT else None
        )

    @property
    def max_degree(self) -> int:
        """Most neighbours that an agent has."""
        return max(len(neighbours) for neighbours in self._neighbours)

    @property
    def edge_count(self) -> int:
        """Edges that are ever live, each counted once even if it carries both ways."""
        return len(self.edges)

    @cached_property
    def _neighbours(self) -> tuple[frozenset[int], ...]:
        both = grouped((*self.edges, *((b, a) for a, b in self.edges)))
        return tuple(frozenset(both.get(agent, ())) for agent in range(self.agents))

    @cached_property
    def _parents(self) -> dict[int, int]:
        upward = (
            edge if self.levels[edge[0]] > self.levels[edge[1]] else edge[::-1]
            for edge in self.edges
        )
        return {a: b for a, b in upward if self.levels[a] == self.levels[b] + 1}

    @cached_property
    def _children(self) -> dict[int, tuple[int, ...]]:
        return grouped((parent, child) for child, parent in sorted(self._parents.items()))

    @cached_property
    def _plans(self) -> dict[int, _Plan]:
        return {}

    def _plan(self, round: int) -> _Plan:
        key = round if self.period is None else round % self.period
        plan = self._plans.get(key)
        if plan is None:
            for stale in list(self._plans)[: 1 - KEPT_ROUNDS]:
                self._plans.pop(stale, None)
            plan = self._plans[key] = _Plan(self._hops(key))
        return plan

    def __getstate__(self) -> dict[str, Any]:
        return fields_only(self)


@dataclass(frozen=True)
class _Plan:
    """The hops of one round, and the senders of each agent over all of them."""

    hops: tuple[Hop, ...]

    @cached_property
    def senders(self) -> dict[int, tuple[int, ...]]:
        edges = {(receiver, sender) for hop in self.hops for sender, receiver in hop.edges}
        return grouped(sorted(edges))
