"""The number of hosts, and the placement of agents on them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentos.runtime.base import pack
from agentos.runtime.ray.runtime import RayRuntime


def blueprint(groups: list[int]) -> Any:
    """A blueprint as far as packing looks: agent i is of group `groups[i]`."""
    members = [SimpleNamespace(id=agent, group=group) for agent, group in enumerate(groups)]
    return SimpleNamespace(members=members)


@st.composite
def societies(draw: st.DrawFn) -> tuple[list[int], int]:
    groups = draw(st.lists(st.integers(0, 4), min_size=1, max_size=60))
    return groups, draw(st.integers(1, len(groups)))


@given(societies())
def test_packing_places_every_agent_once_and_evenly(society: tuple[list[int], int]) -> None:
    groups, hosts = society
    packed = pack(blueprint(groups), hosts)
    assert len(packed) == hosts
    assert sorted(agent for ids in packed for agent in ids) == list(range(len(groups)))
    sizes = [len(ids) for ids in packed]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert all(list(ids) == sorted(ids) for ids in packed)


@given(societies())
def test_packing_keeps_groups_side_by_side(society: tuple[list[int], int]) -> None:
    groups, hosts = society
    packed = pack(blueprint(groups), hosts)
    spans = [(min(groups[a] for a in ids), max(groups[a] for a in ids)) for ids in packed]
    for (_, highest), (lowest, _) in itertools.pairwise(spans):
        assert highest <= lowest


@given(societies(), st.randoms(use_true_random=False))
def test_packing_does_not_depend_on_the_order_of_members(
    society: tuple[list[int], int], random: Any
) -> None:
    groups, hosts = society
    shuffled = blueprint(groups)
    random.shuffle(shuffled.members)
    assert pack(shuffled, hosts) == pack(blueprint(groups), hosts)


@pytest.mark.parametrize(
    ("groups", "hosts", "packed"),
    [
        ([0] * 6, 2, ((0, 1, 2), (3, 4, 5))),
        ([0] * 3, 3, ((0,), (1,), (2,))),
        ([1, 0, 1, 0], 2, ((1, 3), (0, 2))),
        ([0], 1, ((0,),)),
    ],
)
def test_packing_by_hand(
    groups: list[int], hosts: int, packed: tuple[tuple[int, ...], ...]
) -> None:
    assert pack(blueprint(groups), hosts) == packed


@pytest.mark.parametrize(
    ("runtime", "agents", "cpus", "gpus", "hosts"),
    [
        ({}, 6, 2.0, 0.0, 2),  # one per core
        ({}, 6, 8.0, 0.0, 6),  # never more than agents
        ({}, 6, 0.0, 0.0, 1),  # at least one
        ({"threads": 2}, 6, 8.0, 0.0, 4),  # two cores each
        ({"threads": 16}, 6, 8.0, 0.0, 1),
        ({}, 6, 64.0, 4.0, 4),  # one per GPU
        ({"device": "cuda"}, 6, 64.0, 4.0, 4),
        ({"device": "cpu"}, 6, 4.0, 2.0, 4),  # GPUs that are not used do not count
        ({"hosts": 3}, 6, 1.0, 0.0, 3),  # as many as are asked for
        ({"hosts": 9}, 6, 1.0, 0.0, 6),
        ({"agents_per_host": 1}, 6, 1.0, 0.0, 6),
        ({"agents_per_host": 4}, 6, 1.0, 0.0, 2),
        ({"agents_per_host": 10}, 6, 8.0, 0.0, 1),
    ],
)
def test_number_of_hosts(
    runtime: dict[str, Any], agents: int, cpus: float, gpus: float, hosts: int
) -> None:
    assert RayRuntime(**runtime).host_count(agents, cpus, gpus) == hosts


@given(st.integers(1, 500), st.integers(1, 500))
def test_no_host_holds_more_agents_than_asked(agents: int, agents_per_host: int) -> None:
    hosts = RayRuntime(agents_per_host=agents_per_host).host_count(agents, 4.0, 0.0)
    packed = pack(blueprint([0] * agents), hosts)
    assert max(map(len, packed)) <= agents_per_host


@pytest.mark.parametrize(
    "values",
    [
        {"hosts": 0},
        {"hosts": "all"},
        {"agents_per_host": 0},
        {"hosts": 2, "agents_per_host": 2},
        {"timeout_s": 0.0},
        {"threads": 0},
        {"device": "gpu"},
        {"object_store_mb": 1},
    ],
)
def test_impossible_runtime_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RayRuntime(**values)
