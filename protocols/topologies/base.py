"""The recipe for a network: one class per topology."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from protocols.errors import TopologyError
from protocols.spec import Spec
from protocols.topologies import invariants
from protocols.topologies.network import Network


class Topology(Spec, ABC):
    """Base of every topology: a recipe that builds a `Network` for a number of agents.

    A subclass names its ``kind``, declares its parameters as fields and implements `_network`;
    `build` then checks the result. Most subclasses end in ``PeerNetwork.of(graph)``.

    Example:
        >>> import networkx as nx
        >>> from typing import Literal
        >>> from protocols.topologies.peer import PeerNetwork
        >>> class Wheel(Topology):
        ...     kind: Literal["wheel"] = "wheel"
        ...     def _network(self, agents: int, seed: int) -> Network:
        ...         return PeerNetwork.of(nx.wheel_graph(agents))
        >>> Wheel().build(agents=6, seed=0).max_degree
        5
    """

    kind: str

    @final
    def build(self, agents: int, seed: int) -> Network:
        """Build the network and check that it can be run.

        Args:
            agents: N, at least 1. A lone agent has no edges and no hops.
            seed: the run's seed; the same seed gives the same network.

        Raises:
            TopologyError: the parameters do not fit this number of agents, or the network is not
                connected, has self-loops, lacks roles, or does not mix to the mean.
        """
        if agents < 1:
            raise TopologyError(
                f"{self.kind} needs agents",
                expected="at least 1",
                actual=agents,
                hint="raise the number",
            )
        network = self._network(agents, seed)
        if not isinstance(network, Network):
            raise TopologyError(
                f"{self.kind} built no network",
                expected="a Network",
                actual=type(network).__name__,
                hint="for a networkx graph of peers, return PeerNetwork.of(graph)",
            )
        invariants.check(network, agents, self.kind)
        return network

    @abstractmethod
    def _network(self, agents: int, seed: int) -> Network:
        """Build the network, unchecked."""
