from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.errors import TopologyError
from protocols.topologies import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave

UP, DOWN = Direction.UP, Direction.DOWN


def plan(network):
    return [(hop.direction, hop.edges) for hop in network.hops(0)]


def test_master_gathers_then_broadcasts():
    network = MasterSlave(master=1).build(3, 0)
    assert network.roles == ("slave", "master", "slave")
    assert network.levels == (1, 0, 1)
    assert plan(network) == [(UP, ((0, 1), (2, 1))), (DOWN, ((1, 0), (1, 2)))]


@pytest.mark.parametrize("agents", [2, 3, 9])
def test_master_slave_spectral_gap_has_its_closed_form(agents):
    # W = I - L/N with L the star's Laplacian, whose eigenvalues are 0, 1 and N.
    network = MasterSlave().build(agents, 0)
    gap = 1.0 if agents == 2 else 1 / agents
    assert network.spectral_gap == pytest.approx(gap)
    assert network.diameter == (1 if agents == 2 else 2)


def test_master_that_is_no_agent_is_refused():
    with pytest.raises(TopologyError, match="from 0 to 2"):
        MasterSlave(master=3).build(3, 0)


def test_layered_goes_up_from_the_deepest_level_and_back_down():
    network = Layered(levels=(1, 2, 4)).build(7, 0)
    assert network.roles == ("root", "relay", "relay", "leaf", "leaf", "leaf", "leaf")
    assert plan(network) == [
        (UP, ((3, 1), (4, 1), (5, 2), (6, 2))),
        (UP, ((1, 0), (2, 0))),
        (DOWN, ((0, 1), (0, 2))),
        (DOWN, ((1, 3), (1, 4), (2, 5), (2, 6))),
    ]
    assert network.diameter == 4
    assert network == Layered(branching=2).build(7, 0)


@given(st.integers(1, 60), st.integers(1, 6))
def test_branching_fills_level_by_level(agents, branching):
    network = Layered(branching=branching).build(agents, 0)
    for agent in range(agents):
        first = agent * branching + 1
        assert network.children(agent) == tuple(range(first, min(first + branching, agents)))
    assert list(network.levels) == sorted(network.levels)


@given(st.lists(st.integers(1, 9), max_size=4))
def test_levels_share_children_out_evenly(below):
    levels = (1, *below)
    network = Layered(levels=levels).build(sum(levels), 0)
    assert [network.levels.count(depth) for depth in range(len(levels))] == list(levels)
    for depth in range(len(levels) - 1):
        counts = [
            len(network.children(agent))
            for agent in range(network.agents)
            if network.levels[agent] == depth
        ]
        assert max(counts) - min(counts) <= 1


def test_agent_without_children_is_a_leaf_on_any_level():
    network = Layered(levels=(1, 3, 2)).build(6, 0)
    assert network.roles == ("root", "relay", "relay", "leaf", "leaf", "leaf")


def test_chain_is_a_tree_with_one_child_each():
    network = Layered(branching=1).build(300, 0)
    assert (len(network.hops(0)), network.diameter) == (598, 299)


@pytest.mark.parametrize("levels", [(2, 4), (), (1, 0, 3), (0, 6), (1, -1)])
def test_levels_without_one_root_are_refused(levels):
    with pytest.raises(ValidationError, match="begin with 1"):
        Layered(levels=levels)


def test_levels_that_do_not_sum_to_the_agents_are_refused():
    with pytest.raises(TopologyError, match=r"sum to 6.*sum to 7.*run 7 agents"):
        Layered(levels=(1, 2, 4)).build(6, 0)


@pytest.mark.parametrize("both", [{"levels": (1, 2), "branching": 2}, {"branching": None}])
def test_both_or_neither_of_levels_and_branching_are_refused(both):
    with pytest.raises(ValidationError, match="either levels or branching"):
        Layered(**both)


def test_levels_take_the_place_of_the_default_branching():
    assert Layered().branching == 2
    assert Layered(levels=(1, 2)).branching is None
    assert Layered.model_validate({"levels": [1, 2]}).levels == (1, 2)
