"""Graphs that are spelt out without networkx, which takes longer to import than a run to be checked."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import pytest

from protocols.topologies.peer import Complete, Exponential, Grid, PeerNetwork, Ring


@pytest.mark.parametrize("agents", [1, 2, 3, 4, 7, 12])
def test_edges_are_those_of_networkx(agents: int) -> None:
    ring = PeerNetwork.of(
        nx.circulant_graph(agents, range(1, 3)) if agents > 4 else nx.complete_graph(agents)
    )
    assert Ring(hops=2).build(agents, 0).edges == ring.edges
    assert Complete().build(agents, 0).edges == PeerNetwork.of(nx.complete_graph(agents)).edges
    offsets = [2**j for j in range((agents - 1).bit_length())]
    assert Exponential().build(agents, 0).edges == (
        PeerNetwork.of(nx.circulant_graph(agents, offsets)).edges if agents > 1 else ()
    )


def test_grid_of_twelve_has_three_rows() -> None:
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(3, 4), ordering="sorted")
    assert Grid().build(12, 0).edges == PeerNetwork.of(grid).edges


def test_plain_graphs_are_built_without_networkx() -> None:
    code = (
        "import sys; from protocols.topologies import TOPOLOGIES\n"
        "for kind in ('ring', 'complete', 'grid', 'exponential', 'master_slave', 'layered'):\n"
        "    TOPOLOGIES[kind]().build(7, 0)\n"
        "sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
