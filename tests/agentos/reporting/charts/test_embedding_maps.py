from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentos.records.agent_similarity import AgentSimilarity, Sample, measure
from agentos.reporting.charts.embedding_maps import draw_maps, planes_of

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 12))
HOSTILE = "<script>alert(1)</script>"


def rows(seed, width=12, turn=None):
    rng = np.random.default_rng(seed)
    base = CENTRES[np.arange(30) % 3] + 0.1 * np.random.default_rng(9).normal(size=(30, 12))
    turned = base @ (np.eye(12) if turn is None else turn)
    return (turned[:, :width] + 0.05 * rng.normal(size=(30, width))).astype(np.float32)


def between(agents=3, arms=("together", "isolated"), explained=True, available=30):
    embeddings = {arm: {i: rows(i + 10 * j) for i in range(agents)} for j, arm in enumerate(arms)}
    told = {"probe": {"labels": ["x", HOSTILE], "confusion": [[3, 1], [0, 4]]}}
    return AgentSimilarity(
        sample=Sample(
            texts=tuple(f"{HOSTILE} text {i}" for i in range(30)),
            groups=tuple(i % 3 for i in range(30)),
            names=("x", "y", HOSTILE),
            labelled=True,
            source="anchors",
            available=available,
            agents=tuple(range(agents)),
        ),
        matrices={arm: measure(found) for arm, found in embeddings.items()},
        explained={
            arm: {i: told if explained else {} for i in range(agents)} for arm in embeddings
        },
        embeddings=embeddings,
    )


NAMES = ["numpy", HOSTILE, "torch"]


def test_heat_maps_share_a_scale_between_arms_and_leave_the_diagonal_out():
    told = between()
    charts = {chart.id: chart for chart in draw_maps(told, NAMES).heat}
    assert len(charts) == 6
    together, alone = (charts[f"linear_cka-{arm}"].traces[0] for arm in ("together", "isolated"))
    assert (together["zmin"], together["zmax"]) == (alone["zmin"], alone["zmax"])
    for i in range(3):
        for j in range(3):
            expected = None if i == j else told.matrices["together"]["linear_cka"][i][j]
            assert together["z"][i][j] == pytest.approx(expected, abs=1e-4)
    # The page's own colour would look like one end of the scale.
    assert charts["linear_cka-together"].layout["plot_bgcolor"] == "--hole"
    assert charts["procrustes-together"].traces[0]["reversescale"]


def test_heat_map_of_agents_that_are_nearly_equal_shows_no_difference():
    told = between()
    told.matrices["together"]["linear_cka"] = [[1.0, 0.9997, 0.9998]] * 3
    told.matrices["isolated"]["linear_cka"] = [[1.0, 0.9998, 0.9997]] * 3
    charts = {chart.id: chart for chart in draw_maps(told, NAMES).heat}
    trace = charts["linear_cka-together"].traces[0]
    assert (trace["zmin"], trace["zmax"]) == (pytest.approx(0.95), 1.0)


def test_maps_show_every_text_of_every_agent_in_the_colour_of_its_group():
    maps = draw_maps(between(), NAMES)
    assert [chart.id for chart in maps.maps] == ["map-0", "map-1", "map-2"]
    trace = maps.maps[0].traces[0]
    assert len(trace["x"]) == len(trace["text"]) == 30
    hues = {entry["name"]: entry["colour"] for entry in maps.legend}
    assert trace["marker"]["color"][:2] == [hues["x"], hues["y"]]


def test_of_many_agents_the_six_least_alike_get_a_map():
    told = between(agents=9)
    alike = np.full((9, 9), 0.9)
    alike[2, 7] = alike[7, 2] = 0.1
    for other in (0, 4, 5, 8):
        alike[other, :] = alike[:, other] = 0.5
    told.matrices["together"]["linear_cka"] = alike.tolist()
    maps = draw_maps(told, [f"a{i}" for i in range(9)])
    assert [chart.id for chart in maps.maps] == [f"map-{i}" for i in (0, 2, 4, 5, 7, 8)]
    assert "6 of 9 agents that are least alike" in maps.maps_note


def test_of_many_groups_the_seven_largest_have_hues_of_their_own():
    told = between()
    groups = tuple(min(i, 10) for i in range(30))
    sample = replace(told.sample, groups=groups, names=tuple(f"g{i}" for i in range(11)))
    legend = draw_maps(replace(told, sample=sample), NAMES).legend
    assert [entry["name"] for entry in legend][-1] == "4 others"
    assert "g10" in {entry["name"] for entry in legend}  # the largest
    assert len({entry["colour"] for entry in legend}) == 8


def test_confusions_are_summed_over_agents_and_shares_of_rows():
    chart = draw_maps(between(), NAMES).confusions[0]
    assert chart.traces[0]["z"] == [[0.75, 0.25], [0.0, 1.0]]
    assert chart.caption.startswith("88%")


def test_texts_and_names_carry_no_markup_for_plotly():
    for chart in draw_maps(between(), NAMES).charts:
        assert "<script>" not in str(chart.traces)


def test_what_was_cut_is_said():
    note = draw_maps(between(available=5000), [f"a{i}" for i in range(40)]).heat_note
    assert "30 of the 5,000 anchors" in note
    assert "3 of 40 agents" in note


def test_a_run_without_records_baseline_probe_or_peers_is_drawn_as_far_as_it_goes():
    assert draw_maps(None, NAMES).charts == []
    alone = draw_maps(between(agents=1, arms=("together",), explained=False), ["one"])
    assert (alone.heat, alone.confusions) == ([], [])
    assert len(alone.maps) == 1


def test_planes_are_turned_alike_whatever_the_agents_basis_and_width():
    turn = np.linalg.qr(RNG.normal(size=(12, 12)))[0]
    wide = np.pad(rows(0), ((0, 0), (0, 5)))
    planes, shares = planes_of({0: rows(0), 1: rows(0, turn=turn), 4: wide})
    np.testing.assert_allclose(planes[1], planes[0], atol=0.2)
    np.testing.assert_allclose(planes[4], planes[0], atol=1e-6)
    assert 0.8 < shares[0] <= 1
    assert np.mean(planes[0] ** 2) == pytest.approx(1)


def test_a_collapsed_agent_is_one_point():
    planes, shares = planes_of({0: np.ones((30, 4), np.float32), 1: rows(1)})
    assert not planes[0].any()
    assert shares[0] == 0
    assert np.isfinite(planes[1]).all()
