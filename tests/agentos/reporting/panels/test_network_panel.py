"""The network panel: bytes on the edges that are there, and those of before a fork apart."""

from __future__ import annotations

from agentos.reporting.panels.network_panel import network_panel
from protocols.topologies.peer import Ring


def facts(sent: dict[tuple[int, int], int]) -> dict[str, str]:
    panel = network_panel(Ring().build(4, seed=0), ["a", "b", "c", "d"], sent, {})
    return {fact["name"]: fact["value"] for fact in panel["facts"]}


def test_bytes_over_edges_of_before_a_fork_are_told_apart() -> None:
    found = facts({(0, 1): 3000, (0, 2): 9000, (2, 0): 1000})
    assert found["Busiest direction"] == "a → b"
    assert found["Bytes over edges of before the fork"] == "10.0 kB"
    assert "Bytes over edges of before the fork" not in facts({(0, 1): 3000})


def test_directions_that_carried_as_much_are_counted_and_none_is_named() -> None:
    found = facts({(0, 1): 3000, (1, 0): 3000, (1, 2): 1000})
    assert found["Most bytes in a direction"] == "3.00 kB, in 2 of 3"
    assert "Busiest direction" not in found


def test_rounds_are_drawn_only_where_one_picture_would_mislead() -> None:
    network, names = Ring().build(4, seed=0), ["a", "b", "c", "d"]
    both = frozenset(edge for a, b in network.edges for edge in ((a, b), (b, a)))
    assert network_panel(network, names, {}, {1: both, 2: both})["rounds"] is None
    found = network_panel(network, names, {}, {1: both, 2: frozenset({(0, 1), (1, 0)})})["rounds"]
    assert found["alt"] == "The edges that carried messages in rounds 1, 2"
