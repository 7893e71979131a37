"""The network as a chart: every edge is drawn, and what agents and edges did is told."""

from __future__ import annotations

from agentos.evaluation.base import Metric
from agentos.records.result import Quality
from agentos.reporting.network.graph_chart import MOST_AGENTS, graph_chart
from protocols.topologies.layered import Layered
from protocols.topologies.peer import Ring, SmallWorld

ACCURACY = Metric(name="accuracy", higher_is_better=True, help="Share.", percent=True)
NAMES = ["<b>ann</b>", "ben", "cy", "dot"]


def found(chart, key):
    return [each for trace in chart.traces for each in trace.get(key) or []]


def test_agents_tell_neighbours_bytes_and_scores() -> None:
    network, sent = Ring().build(4, seed=0), {(0, 1): 3000, (1, 0): 1000, (3, 0): 500}
    arms = {"together": Quality.of({"agent-0": {"accuracy": 0.75}}, (ACCURACY,))}
    told = found(graph_chart(network, NAMES, sent, {}, (ACCURACY, arms)), "hovertext")
    ann = next(text for text in told if text.startswith("&lt;b&gt;ann&lt;/b&gt; · peer"))
    assert "2 neighbours: ben, dot" in ann
    assert "sent 3.00 kB, received 1.50 kB" in ann
    assert "75.0% together" in ann
    assert "&lt;b&gt;ann&lt;/b&gt; → ben: 3.00 kB<br>ben → &lt;b&gt;ann&lt;/b&gt;: 1.00 kB" in told


def test_every_edge_is_drawn_once_and_each_round_shows_its_own() -> None:
    network = SmallWorld().build(60, seed=0)
    live = {1: frozenset(network.edges[:3]), 2: frozenset(network.edges[3:5])}
    chart = graph_chart(network, [str(i) for i in range(60)], {}, live)
    lines = {
        (trace.get("meta") or {}).get("shown"): sum(x is None for x in trace["x"])
        for trace in chart.traces
        if trace["mode"] == "lines" and trace["x"]
    }  # a gap ends each edge
    assert lines == {None: network.edge_count, "1": 3, "2": 2}
    (edges,) = [
        trace["meta"]["edges"] for trace in chart.traces if "edges" in (trace.get("meta") or {})
    ]
    assert [(a, b) for a, b, _, _ in edges] == list(network.edges)


def test_roles_are_in_the_legend_and_a_crowd_is_not_drawn() -> None:
    chart = graph_chart(Layered().build(7, seed=0), [str(i) for i in range(7)], {}, {})
    assert [trace["name"] for trace in chart.traces if trace["showlegend"]] == [
        "root",
        "relay",
        "leaf",
    ]
    crowd = MOST_AGENTS + 1
    assert graph_chart(Ring().build(crowd, seed=0), ["a"] * crowd, {}, {}) is None
