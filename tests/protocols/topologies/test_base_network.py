from __future__ import annotations

import pickle
import time
from typing import Literal

import networkx as nx
import pytest

from protocols.errors import TopologyError
from protocols.topologies import Direction, Hop, Network, PeerNetwork, Topology, TreeNetwork
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.topologies.schedule import OnePeerExponential


class Custom(Topology):
    """Returns the network that it was given."""

    kind: Literal["custom"] = "custom"
    network: object

    def _network(self, agents: int, seed: int) -> Network:
        return self.network  # type: ignore[return-value]


def peers(agents: int, edges: tuple[tuple[int, int], ...], **changes: object) -> PeerNetwork:
    fields = {
        "agents": agents,
        "family": "peer",
        "edges": edges,
        "roles": ("peer",) * agents,
        "levels": (0,) * agents,
    }
    return PeerNetwork(**{**fields, **changes})


def refusal(network: object, agents: int) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        Custom(network=network).build(agents, 0)
    error = caught.value
    assert error.expected
    assert error.actual
    assert error.hint
    assert "custom" in error.message
    return error


def test_custom_topology_builds_when_sound():
    assert Custom(network=PeerNetwork.of(nx.path_graph(4))).build(4, 0).diameter == 3


def test_disconnected_graph_is_refused():
    error = refusal(PeerNetwork.of(nx.Graph([(0, 1), (2, 3)])), 4)
    assert "not connected" in error.message
    assert "2, 3" in str(error.actual)


def test_self_loop_is_refused():
    assert "(1, 1)" in str(refusal(PeerNetwork.of(nx.Graph([(0, 1), (1, 1)])), 2).actual)


def test_wrong_number_of_agents_is_refused():
    assert "4 agents" in str(refusal(PeerNetwork.of(nx.path_graph(4)), 5).actual)


def test_edge_to_an_unknown_agent_is_refused():
    assert "(0, 2)" in str(refusal(peers(2, ((0, 1), (2, 0))), 2).actual)


@pytest.mark.parametrize("roles", [(), ("peer",), ("peer", "")])
def test_missing_roles_are_refused(roles):
    assert "roles" in refusal(peers(2, ((0, 1),), roles=roles), 2).message


def test_missing_levels_are_refused():
    assert "levels" in refusal(peers(2, ((0, 1),), levels=(0,)), 2).message


def test_bare_graph_is_refused_with_the_way_to_wrap_it():
    assert "PeerNetwork.of" in str(refusal(nx.path_graph(2), 2).hint)


@pytest.mark.parametrize("levels", [(0, 0, 1), (0, 1, 1), (0, 2, 1)])
def test_levels_that_are_no_tree_are_refused(levels):
    # The path 0 - 1 - 2 hangs from agent 0 with levels 0, 1, 2 and in no other way.
    assert "tree" in refusal(peers(3, ((0, 1), (1, 2)), levels=levels, family="layered"), 3).message


class _OneWay(Network):
    """Everyone sends to agent 0, and no agent receives."""

    def _hops(self, round: int) -> tuple[Hop, ...]:
        edges = tuple((agent, 0) for agent in range(1, self.agents))
        return (Hop(0, Direction.PEER, edges),)


class _Strangers(Network):
    """Sends along an edge that is not in the network."""

    def _hops(self, round: int) -> tuple[Hop, ...]:
        return (Hop(0, Direction.PEER, ((0, 2), (2, 0))),)


def remade(cls: type[Network], network: Network) -> Network:
    return cls(
        agents=network.agents,
        family=network.family,
        edges=network.edges,
        roles=network.roles,
        levels=network.levels,
    )


def test_mixing_that_loses_the_mean_is_refused():
    error = refusal(remade(_OneWay, PeerNetwork.of(nx.path_graph(2))), 2)
    assert "keep the mean" in error.message


def test_hops_off_the_edges_are_refused():
    error = refusal(remade(_Strangers, PeerNetwork.of(nx.path_graph(3))), 3)
    assert "(0, 2)" in str(error.actual)


def test_nodes_that_are_not_numbers_are_refused():
    with pytest.raises(TopologyError, match="convert_node_labels_to_integers"):
        PeerNetwork.of(nx.Graph([("a", "b")]))


def test_hop_answers_for_agents_that_take_no_part():
    hop = Hop(index=0, direction=Direction.PEER, edges=((1, 0), (0, 1)))
    assert hop.edges == ((0, 1), (1, 0))
    assert (hop.recipients(5), hop.senders(5), hop.participants) == ((), (), (0, 1))
    size = len(pickle.dumps(Hop(index=0, direction=Direction.PEER, edges=((1, 0), (0, 1)))))
    assert len(pickle.dumps(hop)) == size


def test_direction_prints_as_its_value():
    assert f"{Direction.UP} {Direction('peer')}" == "up peer"


def test_edges_are_kept_sorted_and_once():
    assert peers(3, ((2, 1), (1, 2), (1, 0))).edges == ((0, 1), (1, 2))


def test_lone_agent_has_no_hops_and_keeps_all_its_weight():
    for topology in (Ring(), Layered(), Layered(levels=(1,)), MasterSlave(), OnePeerExponential()):
        network = topology.build(1, 0)
        assert network.hops(3) == ()
        assert network.mixing_weights(0, 3) == {0: 1.0}
        assert (network.diameter, network.max_degree, network.spectral_gap) == (0, 0, 1.0)


@pytest.mark.parametrize("topology", [Ring(), Layered(), MasterSlave(), OnePeerExponential()])
def test_ten_thousand_agents_take_seconds_at_most(topology):
    started = time.process_time()
    network = topology.build(10_000, 0)
    hop = network.hops(0)[0]
    assert sum(len(hop.recipients(agent)) for agent in range(10_000)) == len(hop.edges)
    assert sum(len(hop.senders(agent)) for agent in range(10_000)) == len(hop.edges)
    assert len(network.mixing_weights(5_000, 0)) >= 2
    assert len(pickle.dumps(network)) < 12 * (network.edge_count + 20_000)
    # The first three take 0.3 s on one core of 2024; the bound only catches a change of order.
    assert time.process_time() - started < 5
    assert (network.spectral_gap, network.diameter) == (None, None)


def test_tree_of_refuses_parents_that_never_end():
    for parents in ([1, 0], [None, 5], [None, -1]):
        with pytest.raises(TopologyError, match="no tree"):
            TreeNetwork.of(parents)
