"""The contract of every topology in the table, shipped or added: see CONTRIBUTING."""

from __future__ import annotations

import pickle
from typing import get_args

import networkx as nx
import numpy as np
import pytest

from protocols.errors import TopologyError
from protocols.topologies import TOPOLOGIES, Direction, Network, Topology

SIZES = (1, 2, 3, 8, 13)
SMALLEST = {"random_regular": 5, "small_world": 5}
"""Fewest agents, above a lone one, that the default parameters allow."""

CASES = [
    (kind, agents, seed)
    for kind in TOPOLOGIES
    for agents in SIZES
    for seed in ((0, 7) if agents == 8 else (0,))
    if agents == 1 or agents >= SMALLEST.get(kind, 1)
    if not (kind == "from_file" and agents == 1)  # an edge list cannot hold a lone node
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request, tmp_path) -> tuple[Topology, int, int]:
    kind, agents, seed = request.param
    if kind != "from_file":
        return TOPOLOGIES[kind](), agents, seed
    path = tmp_path / "graph.edgelist"
    nx.write_edgelist(nx.random_labeled_tree(agents, seed=seed), path)
    return TOPOLOGIES[kind](path=path), agents, seed


@pytest.fixture
def network(case) -> Network:
    topology, agents, seed = case
    return topology.build(agents, seed)


def rounds(network: Network) -> range:
    """One period, and some rounds of it again; N rounds of a schedule that never repeats."""
    return range(network.period + 2 if network.period else network.agents)


def edges(network: Network, round: int) -> set[tuple[int, int]]:
    return {edge for hop in network.hops(round) for edge in hop.edges}


def test_kind_is_the_key_in_the_table():
    for kind, cls in TOPOLOGIES.items():
        assert get_args(cls.model_fields["kind"].annotation) == (kind,)
        assert cls.__doc__


def test_graph_is_connected_and_has_no_self_loops(case, network):
    assert set(network.graph.nodes) == set(range(case[1]))
    assert nx.is_connected(network.graph)
    assert nx.number_of_selfloops(network.graph) == 0
    assert network.edge_count == network.graph.number_of_edges()
    assert network.max_degree == max(degree for _, degree in network.graph.degree)
    assert network.diameter == nx.diameter(network.graph)
    for agent in network.graph:
        assert network.neighbours(agent) == set(network.graph[agent])


def test_roles_and_levels_are_set_for_every_agent(case, network):
    expected = {
        "peer": {"peer"},
        "master_slave": {"master", "slave"},
        "layered": {"root", "relay", "leaf"},
    }
    assert len(network.roles) == len(network.levels) == network.agents == case[1]
    assert set(network.roles) <= expected[network.family]


def test_parents_and_children_agree_and_end_at_one_root(network):
    parents = [network.parent(agent) for agent in range(network.agents)]
    for agent, parent in enumerate(parents):
        children = [other for other, above in enumerate(parents) if above == agent]
        assert list(network.children(agent)) == children
        if parent is not None:
            assert parent in network.neighbours(agent)
            assert network.levels[agent] == network.levels[parent] + 1
    assert parents.count(None) == (network.agents if network.family == "peer" else 1)


def test_hops_run_between_neighbours_and_are_numbered_in_order(network):
    for round in rounds(network):
        hops = network.hops(round)
        assert [hop.index for hop in hops] == list(range(len(hops)))
        for hop in hops:
            assert hop.edges == tuple(sorted(set(hop.edges)))
            assert hop.edges, "a hop without a sender costs a barrier"
            for sender, receiver in hop.edges:
                assert receiver in network.neighbours(sender)
                assert receiver in hop.recipients(sender)
                assert sender in hop.senders(receiver)


def test_union_of_all_rounds_is_the_graph(network):
    seen = {tuple(sorted(edge)) for round in rounds(network) for edge in edges(network, round)}
    assert seen <= set(network.edges)
    assert network.period is None or seen == set(network.edges)


def test_hops_repeat_after_one_period(network):
    if network.period is not None:
        assert network.hops(1) == network.hops(1 + 3 * network.period)


def test_every_agent_hears_from_someone_within_a_period(network):
    heard = {edge[1] for round in rounds(network) for edge in edges(network, round)}
    assert heard == (set(range(network.agents)) if network.agents > 1 else set())


def test_upward_hops_come_first_and_carry_every_agent_to_the_root_and_back(network):
    hops = network.hops(0)
    if network.family == "peer":
        assert [hop.direction for hop in hops] in ([], [Direction.PEER])
        return
    directions = [hop.direction for hop in hops]
    half = len(hops) // 2
    assert directions == [Direction.UP] * half + [Direction.DOWN] * half
    known = {agent: {agent} for agent in range(network.agents)}
    for hop in hops:
        before = {agent: set(facts) for agent, facts in known.items()}
        for sender, receiver in hop.edges:
            known[receiver] |= before[sender]
        if hop.index == half - 1:
            assert known[network.levels.index(0)] == set(range(network.agents))
    assert all(facts == set(range(network.agents)) for facts in known.values())


def test_mixing_is_doubly_stochastic_and_its_rows_are_the_local_weights(network):
    for round in rounds(network):
        matrix = network.mixing(round)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-12)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
        directed = {(b, a) for a, b in edges(network, round)} != edges(network, round)
        assert directed or np.array_equal(matrix, matrix.T)
        for agent in range(network.agents):
            weights = network.mixing_weights(agent, round)
            assert weights.keys() == {agent, *network.senders(agent, round)}
            row = np.zeros(network.agents)
            row[list(weights)] = list(weights.values())
            np.testing.assert_array_equal(matrix[agent], row)


def test_repeated_mixing_agrees_on_the_mean(network):
    product = np.eye(network.agents)
    for round in range(network.period or 20 * network.agents):
        product = network.mixing(round) @ product
    product = np.linalg.matrix_power(product, 400 if network.period else 1)
    np.testing.assert_allclose(product, 1 / network.agents, atol=1e-3)
    assert 0 < network.spectral_gap <= 1


def test_build_is_deterministic_in_the_seed(case, network):
    topology, agents, seed = case
    again = topology.build(agents, seed)
    assert again == network
    assert hash(again) == hash(network)
    assert [again.hops(round) for round in range(5)] == [network.hops(round) for round in range(5)]


def test_network_pickles_without_its_lookup_tables(case):
    topology, agents, seed = case
    fresh = topology.build(agents, seed)
    size = len(pickle.dumps(topology.build(agents, seed)))
    hops, gap = fresh.hops(0), fresh.spectral_gap
    for hop in hops:
        hop.recipients(0)
    assert len(pickle.dumps(fresh)) == size
    copy = pickle.loads(pickle.dumps(fresh))
    assert copy == fresh
    assert (copy.hops(0), copy.spectral_gap) == (hops, gap)
    assert pickle.loads(pickle.dumps(hops)) == hops


def test_no_agents_are_refused(case):
    with pytest.raises(TopologyError, match="at least 1"):
        case[0].build(0, 0)


def test_specification_survives_json(case):
    topology = case[0]
    assert type(topology).model_validate_json(topology.model_dump_json()) == topology
