"""The network panel: bytes on the edges that are there, and those of before a fork apart."""

from __future__ import annotations

from agentos.reporting.panels.network_panel import network_panel
from protocols.topologies.peer import Ring


def facts(sent: dict[tuple[int, int], int]) -> dict[str, str]:
    panel = network_panel(Ring().build(4, seed=0), ["a", "b", "c", "d"], sent)
    return {fact["name"]: fact["value"] for fact in panel["facts"]}


def test_bytes_over_edges_of_before_a_fork_are_told_apart() -> None:
    found = facts({(0, 1): 3000, (0, 2): 9000, (2, 0): 1000})
    assert found["Busiest direction"] == "a → b"
    assert found["Bytes over edges of before the fork"] == "10.0 kB"
    assert "Bytes over edges of before the fork" not in facts({(0, 1): 3000})
