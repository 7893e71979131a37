from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.topologies import PeerNetwork
from protocols.topologies.network import KEPT_ROUNDS
from protocols.topologies.peer import Complete, Exponential, Grid, Ring
from protocols.topologies.schedule import OnePeerExponential, RandomMatching


@given(st.integers(2, 40), st.integers(0, 30))
def test_one_peer_exponential_sends_a_power_of_two_places_further(agents, round):
    network = OnePeerExponential().build(agents, 0)
    offset = 2 ** (round % max(1, int(np.ceil(np.log2(agents)))))
    (hop,) = network.hops(round)
    for agent in range(agents):
        assert hop.recipients(agent) == ((agent + offset) % agents,)
        expected = {agent: 0.5, (agent - offset) % agents: 0.5}
        assert network.mixing_weights(agent, round) == expected


@pytest.mark.parametrize("exponent", [1, 2, 3, 5])
def test_one_peer_exponential_reaches_the_exact_mean_in_one_period(exponent):
    # Ying et al. 2021, theorem 2: for N = 2^T the product of T rounds is J/N.
    agents = 2**exponent
    network = OnePeerExponential().build(agents, 0)
    assert network.period == exponent
    product = np.linalg.multi_dot([np.eye(agents), *map(network.mixing, range(exponent))])
    np.testing.assert_array_equal(product, np.full((agents, agents), 1 / agents))
    assert network.spectral_gap == 1.0


def test_one_peer_exponential_of_another_size_takes_longer():
    network = OnePeerExponential().build(6, 0)
    assert network.period == 3
    product = network.mixing(2) @ network.mixing(1) @ network.mixing(0)
    expected = 1 - np.linalg.norm(product - 1 / 6, 2) ** (1 / 3)
    assert 0 < expected < 1
    assert network.spectral_gap == pytest.approx(expected)


def test_one_peer_exponential_draws_on_the_exponential_graph():
    assert OnePeerExponential().build(11, 0).edges == Exponential().build(11, 0).edges


@given(st.integers(2, 20), st.integers(0, 5), st.integers(0, 50), st.sampled_from([Ring, Grid]))
def test_random_matching_is_a_maximal_matching_of_its_base(agents, seed, round, base):
    network = RandomMatching(over=base()).build(agents, seed)
    (hop,) = network.hops(round)
    matching = {edge for edge in hop.edges if edge[0] < edge[1]}
    assert set(hop.edges) == matching | {(b, a) for a, b in matching}
    assert nx.is_maximal_matching(base().build(agents, 0).graph, matching)
    for agent in range(agents):
        weights = network.mixing_weights(agent, round)
        assert set(weights.values()) == ({0.5} if agent in hop.participants else {1.0})


def test_random_matching_of_all_leaves_at_most_one_over():
    network = RandomMatching().build(9, 0)
    assert {len(network.hops(round)[0].participants) for round in range(50)} == {8}
    assert network.max_degree == 8


def test_random_matching_lets_each_agent_choose_first_in_turn():
    network = RandomMatching(over=Ring()).build(15, 2)
    for round in range(30):
        assert round % 15 in network.hops(round)[0].participants


def test_random_matching_depends_on_the_round_and_not_on_the_order_of_asking():
    first, second = (RandomMatching().build(12, 4) for _ in range(2))
    rounds = range(3 * KEPT_ROUNDS)
    forwards = [first.hops(round) for round in rounds]
    assert forwards == [second.hops(round) for round in reversed(rounds)][::-1]
    assert len(set(forwards)) > KEPT_ROUNDS
    assert len(first.__dict__["_plans"]) == KEPT_ROUNDS


def test_random_matching_pairs_all_partners_about_equally_often():
    network = RandomMatching().build(6, 0)
    counts = np.zeros(6)
    for round in range(500):
        counts[list(network.hops(round)[0].recipients(0))] += 1
    # Five partners, 500 rounds: mean 100, standard deviation 9.
    assert counts[0] == 0
    assert counts[1:].min() > 60
    assert counts[1:].max() < 140


def test_random_matching_takes_its_base_by_name_mapping_or_instance():
    class Path(Ring.__base__):  # type: ignore[name-defined,misc]
        kind: str = "path"

        def _network(self, agents: int, seed: int) -> PeerNetwork:
            return PeerNetwork.of(nx.path_graph(agents))

    assert RandomMatching().over == Complete()
    assert RandomMatching(over="grid").over == Grid()
    assert RandomMatching(over={"kind": "ring", "hops": 2}).over == Ring(hops=2)
    assert RandomMatching(over=Path()).build(5, 0).diameter == 4
    with pytest.raises(ValidationError):
        RandomMatching(over="layered")
