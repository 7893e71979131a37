from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.errors import TopologyError
from protocols.topologies.peer import (
    Complete,
    ErdosRenyi,
    Exponential,
    Grid,
    RandomRegular,
    Ring,
    SmallWorld,
)

sizes = st.integers(1, 40)


@pytest.mark.parametrize("agents", [3, 4, 7, 16, 31])
def test_ring_spectral_gap_has_its_closed_form(agents):
    # Weights 1/3 on itself and each side: a circulant, eigenvalues 1/3 + 2/3 cos(2 pi k/N).
    eigenvalues = [1 / 3 + 2 / 3 * math.cos(2 * math.pi * k / agents) for k in range(1, agents)]
    gap = 1 - max(map(abs, eigenvalues))
    assert Ring().build(agents, 0).spectral_gap == pytest.approx(gap, abs=1e-12)
    if agents > 4:
        assert gap == pytest.approx(1 - (1 / 3 + 2 / 3 * math.cos(2 * math.pi / agents)))


@pytest.mark.parametrize("agents", [2, 3, 10, 41])
def test_complete_graph_agrees_in_one_round(agents):
    network = Complete().build(agents, 0)
    np.testing.assert_allclose(network.mixing(0), np.full((agents, agents), 1 / agents))
    assert network.spectral_gap == 1.0
    assert (network.diameter, network.max_degree) == (1, agents - 1)
    assert network.edge_count == agents * (agents - 1) // 2


@given(agents=sizes, hops=st.integers(1, 5))
def test_ring_joins_those_up_to_hops_away(agents, hops):
    network = Ring(hops=hops).build(agents, 0)
    for a in range(agents):
        near = {b for b in range(agents) if 0 < min((a - b) % agents, (b - a) % agents) <= hops}
        assert network.neighbours(a) == near
    assert network.diameter == math.ceil(agents // 2 / hops)


@given(sizes)
def test_grid_is_square_where_it_can_be(agents):
    network = Grid().build(agents, 0)
    columns = math.ceil(math.sqrt(agents))
    places = [divmod(agent, columns) for agent in range(agents)]
    for a, (row, column) in enumerate(places):
        around = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)}
        assert network.neighbours(a) == {b for b, place in enumerate(places) if place in around}
    assert max(row for row, _ in places) < columns


def test_grid_of_a_square_has_its_closed_forms():
    network = Grid().build(25, 0)
    assert nx.is_isomorphic(network.graph, nx.grid_2d_graph(5, 5))
    assert (network.diameter, network.edge_count, network.max_degree) == (8, 40, 4)


@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 5])
def test_exponential_graph_of_a_power_of_two_has_its_closed_forms(exponent):
    agents = 2**exponent
    network = Exponential().build(agents, 0)
    # Places +-1, +-2, ..., +-N/4 away and, once, N/2 away.
    assert {len(network.neighbours(agent)) for agent in range(agents)} == {2 * exponent - 1}
    assert network.diameter == math.ceil(exponent / 2)


@given(sizes)
def test_exponential_graph_joins_powers_of_two_both_ways(agents):
    network = Exponential().build(agents, 0)
    steps = {2**j for j in range(7) if 2**j < agents}
    for a in range(agents):
        assert network.neighbours(a) == {(a + s) % agents for s in steps} | {
            (a - s) % agents for s in steps
        }


@settings(max_examples=30)
@given(st.integers(2, 8), st.integers(0, 20), st.integers(0, 1000))
def test_random_regular_gives_everyone_k_neighbours(k, more, seed):
    agents = k + 1 + more
    agents += k * agents % 2
    network = RandomRegular(k=k).build(agents, seed)
    assert {len(network.neighbours(agent)) for agent in range(agents)} == {k}


def test_random_graphs_differ_between_seeds():
    for topology in (RandomRegular(), SmallWorld(p=0.5), ErdosRenyi()):
        assert len({topology.build(20, seed) for seed in range(5)}) == 5


def test_small_world_without_rewiring_is_a_ring():
    assert SmallWorld(k=4, p=0).build(12, 3).edges == Ring(hops=2).build(12, 0).edges


def test_small_world_shortcuts_shorten_the_paths():
    assert SmallWorld(k=4, p=0.3).build(60, 0).diameter < SmallWorld(k=4, p=0).build(60, 0).diameter


def test_erdos_renyi_with_certainty_is_complete():
    assert ErdosRenyi(p=1).build(9, 0).edges == Complete().build(9, 0).edges


def test_erdos_renyi_edges_are_about_as_many_as_expected():
    edges = [ErdosRenyi(p=0.5).build(40, seed).edge_count for seed in range(10)]
    # 7,800 independent pairs: mean 3,900, standard deviation 44; the bound is four of them.
    assert abs(sum(edges) - 3_900) < 180


@pytest.mark.parametrize(
    ("topology", "agents", "named"),
    [
        (ErdosRenyi(p=0.001), 20, "raise p"),
        (RandomRegular(k=1), 6, "raise k"),
        (RandomRegular(k=4), 4, "k=4"),
        (RandomRegular(k=3), 5, "even"),
        (SmallWorld(k=4), 3, "k=4"),
        (Complete(), 5_000, "sparser"),
        (ErdosRenyi(p=0.9), 5_000, "sparser"),
        (Ring(hops=1000), 5_000, "sparser"),
    ],
)
def test_unfit_parameters_are_refused_with_the_hint(topology, agents, named):
    with pytest.raises(TopologyError) as caught:
        topology.build(agents, 0)
    assert topology.kind in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (Ring, {"hops": 0}),
        (RandomRegular, {"k": 0}),
        (SmallWorld, {"k": 3}),
        (SmallWorld, {"p": 1.5}),
        (ErdosRenyi, {"p": 0}),
        (ErdosRenyi, {"p": float("nan")}),
        (Ring, {"hop": 1}),
    ],
)
def test_parameters_out_of_range_are_refused(cls, wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        cls(**wrong)
