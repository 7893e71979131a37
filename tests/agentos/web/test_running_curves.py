"""Curves that grow with a run: right against a slow reference, and always small."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.web.running_curves import LINES, MOST_POINTS, Curve, Curves, finite


def test_points_are_means_and_bands_of_the_agents() -> None:
    rng = np.random.default_rng(0)
    values_RN = rng.normal(size=(6, 40))
    curve = Curve(agents=40)
    for round, row in enumerate(values_RN):
        for agent, value in enumerate(row):
            curve.add(round, agent, float(value))
    expected = [
        [round, row.mean(), np.quantile(row, 0.1), np.quantile(row, 0.9)]
        for round, row in enumerate(values_RN)
    ]
    np.testing.assert_allclose(curve.as_json(), expected, rtol=1e-4)


def test_few_agents_have_a_line_each_with_gaps() -> None:
    curve = Curve(agents=3)
    curve.add(0, 0, 1.0)
    curve.add(0, 2, 3.0)
    assert curve.as_json() == [[0, 2.0, 1.2, 2.8, [1.0, None, 3.0]]]
    crowd = Curve(agents=LINES + 1)
    crowd.add(0, 0, 1.0)
    assert len(crowd.as_json()[0]) == 4


@pytest.mark.parametrize("rounds", [1, 2, MOST_POINTS, MOST_POINTS + 1, 5 * MOST_POINTS + 7])
def test_long_curves_are_thinned_evenly_and_keep_both_ends(rounds: int) -> None:
    curve = Curve(agents=1)
    for round in range(rounds):
        curve.add(round, 0, float(round))
        assert len(curve.points) <= MOST_POINTS + 1
    points = curve.as_json()
    found = [point[0] for point in points]
    assert (found[0], found[-1]) == (0, rounds - 1)
    assert all(point[1] == point[0] for point in points)
    assert len({*np.diff(found[:-1])}) <= 1, "evenly, but for the latest"
    assert len(found) == rounds if rounds <= MOST_POINTS else len(found) > MOST_POINTS // 2


def test_last_round_may_still_get_values() -> None:
    curve = Curve(agents=2)
    curve.add(0, 0, 1.0)
    assert curve.as_json()[0][1] == 1.0
    curve.add(0, 1, 3.0)
    assert curve.as_json()[0][1] == 2.0


def test_other_metrics_and_values_that_are_no_numbers_are_left_out() -> None:
    curves = Curves(["loss"], agents=1)
    for value in (None, "1", True, float("nan"), float("inf"), 10**400, [1]):
        curves.add("together", {"round": 1, "agent": "agent-0", "loss": value, "other": 1.0}, 0)
        assert finite(value) is None
    assert curves.as_json() == {}
    curves.add("together", {"round": 1, "loss": 2}, 0)
    assert curves.as_json()["loss"]["together"][0][:2] == [1, 2.0]
    curves.forget("together")
    assert curves.as_json() == {"loss": {}}
