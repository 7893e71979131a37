from __future__ import annotations

import itertools
import subprocess
import sys
import xml.etree.ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from agentos.reporting.network.canvas import BUSIEST
from agentos.reporting.network.draw import MAX_DRAWN, draw_network
from agentos.reporting.network.edge_paths import edge_paths
from agentos.reporting.network.positions import RADIAL_LEAVES, marker_sizes, place
from agentos.reporting.network.rounds import draw_rounds, live_edges, vary
from agentos.reporting.pictures import save, to_svg
from protocols.errors import ConfigurationError
from protocols.topologies import PeerNetwork
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Complete, ErdosRenyi, Grid, Ring, SmallWorld
from protocols.topologies.schedule import OnePeerExponential


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def markers(figure: Figure) -> list[PathCollection]:
    return [mark for mark in figure.axes[0].collections if isinstance(mark, PathCollection)]


def positions(figure: Figure) -> np.ndarray:
    return np.concatenate([mark.get_offsets() for mark in markers(figure)])


def widths(figure: Figure) -> list[float]:
    lines = [mark for mark in figure.axes[0].collections if drawn(mark)]
    return [width for mark in lines for width in mark.get_linewidths()]


def drawn(mark) -> bool:
    return isinstance(mark, LineCollection) and len(mark.get_segments()) > 0


def both_ways(network, payload_bytes=1_000_000):
    return {edge: payload_bytes for a, b in network.edges for edge in ((a, b), (b, a))}


CAVES = PeerNetwork.of(nx.connected_caveman_graph(4, 5))
SHOWN = {
    "pair": Ring().build(2, 0),
    "complete": Complete().build(6, 0),
    "ring-of-60": Ring().build(60, 0),
    "random": ErdosRenyi(p=0.2).build(15, 0),
    "grid": Grid().build(15, 0),
    "file": CAVES,
    "star": MasterSlave().build(12, 0),
    "star-of-60": MasterSlave().build(60, 0),
    "tree": Layered().build(15, 0),
    "tree-of-60": Layered(branching=3).build(60, 0),
    "chain": Layered(branching=1).build(9, 0),
    "lone-peer": Ring().build(1, 0),
}


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("named", [False, True], ids=["numbers", "names"])
def test_no_two_labels_overlap(name, named):
    network = SHOWN[name]
    names = [f"agent-{agent}" for agent in range(network.agents)] if named else None
    title = "A title that is long enough to be wider than a small picture of two agents"
    figure = draw_network(network, title=title, names=names, bytes_by_edge=both_ways(network))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    shown = [text for text in figure.axes[0].texts if text.get_text()]
    flat = [text.get_window_extent(renderer) for text in shown if text.get_rotation() % 90 == 0]
    for a, b in itertools.combinations([box.extents for box in flat], 2):
        overlap = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        assert overlap.min() <= 2, (a, b)  # pixels at 100 dpi
    if named:
        assert set(names) <= set(texts(figure))


@pytest.mark.parametrize(
    ("topology", "roles"),
    [
        (Ring(), ["peer"]),
        (MasterSlave(master=2), ["master", "slave"]),
        (Layered(), ["root", "relay", "leaf"]),
    ],
)
def test_each_role_has_a_colour_and_a_shape_of_its_own(topology, roles):
    figure = draw_network(topology.build(7, 0))
    assert legend(figure) == roles
    assert len({tuple(mark.get_facecolor()[0]) for mark in markers(figure)}) == len(roles)
    assert len({mark.get_paths()[0].vertices.tobytes() for mark in markers(figure)}) == len(roles)
    assert len(positions(figure)) == 7


def test_roles_of_a_custom_topology_are_told_apart_too():
    base = PeerNetwork.of(nx.path_graph(3))
    fields = {"agents": 3, "family": "peer", "edges": base.edges, "levels": base.levels}
    figure = draw_network(PeerNetwork(**fields, roles=("expert", "judge", "peer")))
    assert sorted(legend(figure)) == ["expert", "judge", "peer"]
    assert len({tuple(mark.get_facecolor()[0]) for mark in markers(figure)}) == 3


@pytest.mark.parametrize("topology", [MasterSlave(), Layered(), Layered(levels=(1, 3, 20))])
def test_levels_are_drawn_from_top_to_bottom(topology):
    network = topology.build(sum(getattr(topology, "levels", None) or (RADIAL_LEAVES,)), 0)
    figure = draw_network(network)
    heights = positions(figure)[:, 1]  # markers are drawn role by role, top role first
    levels = np.array(sorted(network.levels))
    for level in range(1, max(levels) + 1):
        above, here = (
            np.sort(heights)[::-1][levels < level],
            np.sort(heights)[::-1][levels >= level],
        )
        assert above.min() > here.max()
    distances = np.linalg.norm(positions(figure)[:, None] - positions(figure), axis=2)
    assert distances[distances > 0].size == network.agents * (network.agents - 1)


@pytest.mark.parametrize("topology", [MasterSlave(), Layered(branching=4)])
def test_levels_with_many_leaves_are_drawn_as_rings(topology):
    network = topology.build(100, 0)
    points = place(network, 0.0, False)
    radii = np.linalg.norm(points - points[0], axis=1)
    for level in set(network.levels):
        np.testing.assert_allclose(radii[np.array(network.levels) == level], level * radii[1])


def test_grid_is_drawn_as_a_grid_and_a_ring_as_a_circle():
    grid = positions(draw_network(Grid().build(9, 0)))
    assert len(set(grid[:, 0].round(6))) == len(set(grid[:, 1].round(6))) == 3
    circle = positions(draw_network(Ring().build(9, 0)))
    radii = np.linalg.norm(circle - circle.mean(axis=0), axis=1)
    np.testing.assert_allclose(radii, radii[0])


def test_edges_carry_the_bytes_of_both_directions():
    network = Ring().build(4, 0)
    counts = {(0, 1): 1_000_000, (1, 0): 230_000, (2, 1): 500}
    figure = draw_network(network, bytes_by_edge=counts)
    assert {"1.23 MB", "500 B", "0 B"} <= set(texts(figure))
    assert "4 agents, 4 edges, 1.23 MB both ways" in texts(figure)
    assert max(widths(figure)) > 3 * min(widths(figure))


def test_many_edges_are_not_labelled_but_the_widest_is_named_in_the_legend():
    network = Complete().build(12, 0)
    figure = draw_network(network, bytes_by_edge={**both_ways(network), (3, 4): 2_000_000})
    assert not [text for text in texts(figure) if text.endswith("MB")]
    assert legend(figure)[:2] == ["peer", "3.00 MB, the most on an edge"]
    # The direction that is named can be seen: it alone is red.
    assert legend(figure)[2] == "3 → 4, 2.00 MB: the most in a direction"
    red = [line for line in figure.axes[0].lines if line.get_color() == BUSIEST]
    assert len(red) == 2  # the edge, and its line in the legend


def test_no_edge_passes_under_an_agent_that_is_not_at_its_ends():
    network = SmallWorld().build(60, 0)
    points = place(network, 0.0, False)
    sizes = marker_sizes(network, points)
    straight = points[np.array(network.edges)]
    hidden = 0
    for (a, b), ends, path in zip(
        network.edges, straight, edge_paths(network, points, sizes), strict=True
    ):
        others = np.delete(np.arange(60), [a, b])
        t = np.linspace(0, 1, 200)[:, None]
        line = ends[0] + t * (ends[1] - ends[0])
        for way in (
            line,
            np.stack(
                [np.interp(t[:, 0] * (len(path) - 1), range(len(path)), axis) for axis in path.T],
                axis=1,
            ),
        ):
            gaps = np.linalg.norm(points[others, None] - way, axis=2).min(axis=1)
            covered = bool((gaps < sizes[others] / 2).any())
            hidden += covered and way is line
            assert way is line or not covered, (a, b)
    assert hidden > 50  # drawn straight, as many would be hidden


def test_rounds_that_differ_are_drawn_one_by_one_with_arrows():
    network = OnePeerExponential().build(8, 0)
    rounds = live_edges(network)
    assert list(rounds) == [1, 2, 3]
    assert vary(rounds)
    assert not vary(live_edges(Ring().build(8, 0)))
    figure = draw_rounds(network, rounds)
    assert {"round 1", "round 2", "round 3"} <= set(texts(figure))
    arrows = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None)]
    assert len(arrows) == 16  # in the round between opposite agents, edges carry both ways
    assert len(positions(figure)) == 24


def test_no_bytes_at_all_are_drawn_without_labels():
    network = Ring().build(4, 0)
    assert not [text for text in texts(draw_network(network)) if text.endswith(" B")]
    assert texts(draw_network(network, bytes_by_edge={})).count("0 B") == 4


def test_time_varying_network_is_drawn_with_every_edge():
    network = OnePeerExponential().build(8, 0)
    (lines,) = [mark for mark in draw_network(network).axes[0].collections if drawn(mark)]
    assert len(lines.get_segments()) == 20  # 8 agents of degree 5, halved
    assert "8 agents, 20 edges" in texts(draw_network(network))


def test_short_names_stand_inside_and_symbols_are_not_read_as_mathematics():
    assert {"A", "$B"} <= set(texts(draw_network(Ring().build(2, 0), names=["A", "$B"])))
    names = ["cost in $", "$x^2$", "plain"]
    figure = draw_network(Ring().build(3, 0), names=names, title="$100 & <more>")
    figure.canvas.draw()
    assert set(names) <= set(texts(figure))
    ET.fromstring(to_svg(figure))


@pytest.mark.parametrize("topology", [Ring(), MasterSlave(), Layered(branching=2), Grid()])
def test_three_hundred_agents_fit_on_a_page(topology):
    figure = draw_network(topology.build(300, 0), names=[f"agent-{i}" for i in range(300)])
    assert max(figure.get_size_inches()) < 14
    assert "agent-1" not in texts(figure)
    points = positions(figure)
    assert len(np.unique(points.round(3), axis=0)) == 300


def test_too_many_agents_are_described_in_words():
    network = Ring().build(MAX_DRAWN + 1, 0)
    assert texts(draw_network(network, title="A crowd")) == [
        "A crowd",
        "2,001 agents, 2,001 edges; too many agents to draw one by one",
    ]


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(ConfigurationError, match=r"3 names.*2 names"):
        draw_network(Ring().build(3, 0), names=["a", "b"])


def test_bytes_where_no_edge_is_are_refused():
    with pytest.raises(ConfigurationError, match=r"\(0, 2\)"):
        draw_network(Ring().build(4, 0), bytes_by_edge={(0, 2): 5})


@pytest.mark.parametrize(
    ("name", "starts"), [("a.png", b"\x89PNG"), ("b/c.SVG", b"<?xml"), ("d.pdf", b"%PDF")]
)
def test_save_writes_the_format_of_the_suffix_and_the_same_bytes_again(tmp_path, name, starts):
    contents = []
    for folder in ("first", "second"):
        path = tmp_path / folder / name
        save(draw_network(Layered().build(5, 0)), path)
        contents.append(path.read_bytes())
    assert contents[0].startswith(starts)
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["picture.gif", "picture", "png"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"\.png, \.svg, \.pdf"):
        save(draw_network(Ring().build(3, 0)), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_svg_can_be_put_into_a_page():
    figure = draw_network(Ring().build(5, 0), title="Five", bytes_by_edge=None)
    text = to_svg(figure)
    assert text.startswith("<svg ")
    assert text.endswith("</svg>")
    root = ET.fromstring(text)
    assert root.get("width") == "100%"
    assert root.get("height") is None
    width_pt, height_pt = map(float, root.get("viewBox").split()[2:])
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    np.testing.assert_allclose([width_pt, height_pt], 72 * (np.array(drawn.size) + 0.3), rtol=0.05)
    assert "5 agents, 5 edges" in text
    assert to_svg(figure) == text
    assert "<style" not in text  # it would reach the whole page


def test_drawing_imports_matplotlib_only_when_it_draws():
    code = "import sys, agentos.reporting.network.draw; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_pyplot_alone():
    code = (
        "import sys; from agentos.reporting.network.draw import draw_network;"
        "from agentos.reporting.pictures import to_svg;"
        "from protocols.topologies import TOPOLOGIES;"
        "to_svg(draw_network(TOPOLOGIES['ring']().build(4, 0)));"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
