"""Peers: agents of equal rank that exchange with their neighbours, both ways, in one hop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

from pydantic import Field

from protocols.errors import TopologyError
from protocols.seeding import derive
from protocols.topologies.base import Topology
from protocols.topologies.hops import Direction, Edge, Hop
from protocols.topologies.network import Arrangement, Network

if TYPE_CHECKING:
    import networkx as nx

ATTEMPTS = 100
"""Draws of a random graph before its parameters count as too sparse for a connected graph."""

MAX_EDGES = 500_000
"""Maximum edges that are built: above it, the tables of a network take gigabytes."""


@final
@dataclass(frozen=True, kw_only=True)
class PeerNetwork(Network):
    """Peers that all exchange with all their neighbours in every round."""

    @classmethod
    def of(cls, graph: nx.Graph, arrangement: Arrangement = "free") -> PeerNetwork:
        """Return the network of peers over a graph on the nodes 0..N-1.

        Raises:
            TopologyError: the nodes have other names.

        Example:
            >>> import networkx as nx
            >>> PeerNetwork.of(nx.star_graph(3)).max_degree
            3
        """
        agents = len(graph)
        if set(graph.nodes) != set(range(agents)):
            raise TopologyError(
                "a network's nodes are its agents",
                expected=f"nodes 0 to {agents - 1}",
                actual=", ".join(map(repr, list(graph.nodes)[:5])),
                hint="rename them with networkx.convert_node_labels_to_integers",
            )
        return cls.over(agents, ((int(a), int(b)) for a, b in graph.edges()), arrangement)

    @classmethod
    def over(
        cls, agents: int, edges: Iterable[Edge], arrangement: Arrangement = "free"
    ) -> PeerNetwork:
        """Return the network of peers over edges between agents 0..N-1; it may name an edge twice.

        Graphs of a simple formula are built without networkx, whose import takes longer than building them.
        """
        return cls(
            agents=agents,
            family="peer",
            edges=tuple(edges),
            roles=("peer",) * agents,
            levels=(0,) * agents,
            arrangement=arrangement,
        )

    def _hops(self, round: int) -> tuple[Hop, ...]:
        return peer_hop((*self.edges, *((b, a) for a, b in self.edges)))


def peer_hop(edges: tuple[tuple[int, int], ...]) -> tuple[Hop, ...]:
    """Return a round of one hop among peers, or of no hops if there are no edges."""
    return (Hop(index=0, direction=Direction.PEER, edges=edges),) if edges else ()


@final
class Ring(Topology):
    """Peers in a circle, each joined to those up to `hops` places away."""

    kind: Literal["ring"] = "ring"
    hops: int = Field(default=1, ge=1, description="how many places away a neighbour may be")

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        reach = min(self.hops, agents // 2)
        _afford(self, agents, 2 * reach)
        return _circulant(agents, range(1, reach + 1))


@final
class Complete(Topology):
    """Every peer is joined to every other."""

    kind: Literal["complete"] = "complete"

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        _afford(self, agents, agents - 1)
        return PeerNetwork.over(agents, itertools.combinations(range(agents), 2), "circle")


@final
class RandomRegular(Topology):
    """A random graph in which every peer has exactly `k` neighbours."""

    kind: Literal["random_regular"] = "random_regular"
    k: int = Field(default=4, ge=1, description="neighbours of each agent")

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        if agents == 1:
            return PeerNetwork.over(1, (), "circle")
        _need_more_than_k(self, self.k, agents)
        if self.k * agents % 2:
            raise TopologyError(
                f"{self.kind} cannot give each of {agents} agents {self.k} neighbours",
                expected="an even number of agents times k",
                actual=f"{agents} agents, k={self.k}",
                hint=f"use an even k, for instance k={self.k - 1 or 2}, or one agent more",
            )
        import networkx as nx

        _afford(self, agents, self.k)
        return _draw_connected(
            self, seed, lambda draw: nx.random_regular_graph(self.k, agents, seed=draw), "raise k"
        )


@final
class SmallWorld(Topology):
    """A ring of `k` nearest neighbours whose edges are rewired with probability `p`.

    Source: Watts and Strogatz, Collective dynamics of 'small-world' networks, 1998.
    """

    kind: Literal["small_world"] = "small_world"
    k: int = Field(
        default=4,
        ge=2,
        multiple_of=2,
        description="neighbours in the ring before rewiring, half on each side",
    )
    p: float = Field(default=0.1, ge=0, le=1, description="probability that an edge is rewired")

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        if agents == 1:
            return PeerNetwork.over(1, (), "circle")
        import networkx as nx

        _need_more_than_k(self, self.k, agents)
        _afford(self, agents, self.k)
        return _draw_connected(
            self,
            seed,
            lambda draw: nx.watts_strogatz_graph(agents, self.k, self.p, seed=draw),
            "raise k or lower p",
        )


@final
class ErdosRenyi(Topology):
    """A random graph in which any two peers are joined with probability `p`.

    Sources: Erdős and Rényi, On random graphs I, 1959; Gilbert, Random graphs, 1959.
    """

    kind: Literal["erdos_renyi"] = "erdos_renyi"
    p: float = Field(default=0.3, gt=0, le=1, description="probability that two agents are joined")

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        import networkx as nx

        _afford(self, agents, self.p * (agents - 1))
        usual = min(1.0, 1.5 * math.log(agents + 1) / agents)
        return _draw_connected(
            self,
            seed,
            lambda draw: nx.fast_gnp_random_graph(agents, self.p, seed=draw),
            f"raise p: from about {usual:.2g} on, graphs of {agents} agents tend to be connected",
        )


@final
class Exponential(Topology):
    """Peers in a circle, each joined to those 1, 2, 4, 8, ... places away.

    Source: Ying et al., Exponential graph is provably efficient for decentralized deep training, 2021; here
    each edge carries both ways, so that the mixing matrix is symmetric.
    """

    kind: Literal["exponential"] = "exponential"

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        offsets = [2**j for j in range((agents - 1).bit_length())]
        return _circulant(agents, offsets)


@final
class Grid(Topology):
    """Peers in a grid as square as possible; the last row may be short."""

    kind: Literal["grid"] = "grid"

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        columns = math.isqrt(agents - 1) + 1
        along = ((i, i + 1) for i in range(agents - 1) if (i + 1) % columns)
        down = ((i, i + columns) for i in range(agents - columns))
        return PeerNetwork.over(agents, (*along, *down), "grid")


def _circulant(agents: int, offsets: range | list[int]) -> PeerNetwork:
    edges = ((i, (i + offset) % agents) for offset in offsets for i in range(agents))
    return PeerNetwork.over(agents, edges, "circle")


def _draw_connected(
    topology: Topology, seed: int, draw: Callable[[int], nx.Graph], hint: str
) -> PeerNetwork:
    """Return the first of `ATTEMPTS` random graphs that is connected."""
    import networkx as nx

    for attempt in range(ATTEMPTS):
        graph = draw(derive(seed, "topology", topology.kind, attempt))
        if nx.is_connected(graph):
            return PeerNetwork.of(graph, "circle")
    parameters = [f"{key}={value}" for key, value in topology if key != "kind"]
    raise TopologyError(
        f"{topology.kind} came out unconnected {ATTEMPTS} times in a row",
        expected="a path between every two agents",
        actual=", ".join([f"{len(graph)} agents", *parameters]),
        hint=hint,
    )


def _need_more_than_k(topology: Topology, k: int, agents: int) -> None:
    if k >= agents:
        raise TopologyError(
            f"{topology.kind} gives each agent {k} neighbours, which takes more agents",
            expected=f"k below the number of agents, {agents}",
            actual=f"k={k}",
            hint="lower k, use more agents, or use the complete topology",
        )


def _afford(topology: Topology, agents: int, degree: float) -> None:
    """Refuse a graph that would be too dense to build, before it is built."""
    if agents * degree / 2 > MAX_EDGES:
        raise TopologyError(
            f"{topology.kind} is too dense for {agents} agents",
            expected=f"at most {MAX_EDGES:,} edges",
            actual=f"about {agents * degree / 2:,.0f}",
            hint="use a sparser topology, such as exponential or random_regular",
        )
