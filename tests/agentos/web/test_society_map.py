"""Places of a society's agents on the page, by their edges, in a spiral, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.web import society_map as module
from agentos.web.society_map import society_map
from protocols.topologies.peer import Ring


def names(agents: int) -> tuple[str, ...]:
    return tuple(f"agent-{agent}" for agent in range(agents))


@pytest.mark.parametrize("agents", [1, 2, 12, 13])
def test_markers_lie_in_the_unit_square_apart_from_each_other(
    agents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLACED_AGENTS", 12)  # thirteen stand in a spiral
    found = society_map(Ring().build(agents, seed=0), names(agents))
    points, radii = np.array([found["x"], found["y"]]).T, np.array(found["radius"])
    assert (found["agents"], len(points), len(radii)) == (agents,) * 3
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max() == (agents > 1)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    off = ~np.eye(agents, dtype=bool)
    assert (distances[off] > (radii[:, None] + radii[None])[off]).all()
    pairs = np.reshape(found["edges"], (-1, 2)).tolist()
    assert pairs == [list(edge) for edge in Ring().build(agents, seed=0).edges]
    assert found["edges_left_out"] == 0


@pytest.mark.parametrize(("most", "kept"), [(12, 12), (11, 6), (5, 4), (1, 1)])
def test_too_many_edges_are_sampled_evenly(
    most: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAWN_EDGES", most)
    network = Ring().build(12, seed=0)
    found = society_map(network, names(12))
    assert len(found["edges"]) == 2 * kept
    assert (found["edge_count"], found["edges_left_out"]) == (12, 12 - kept)
    step = -(-12 // most)
    assert np.reshape(found["edges"], (-1, 2)).tolist() == [*map(list, network.edges[::step])]


@pytest.mark.parametrize(("most", "drawn"), [(12, True), (11, False)])
def test_too_many_agents_are_only_counted(
    most: int, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAWN_AGENTS", most)
    found = society_map(Ring().build(12, seed=0), names(12))
    assert (found["agents"], bool(found["x"]), bool(found["edges"])) == (12, drawn, drawn)
    assert len(found["names"]) == len(found["roles"]) == most
