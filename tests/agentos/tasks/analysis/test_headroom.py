"""Headroom: an exact bound that invents no gain, and finds one that is there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentos.tasks.analysis.headroom import headroom, mean_fusion
from protocols.errors import ConfigurationError
from protocols.seeding import generator


def tail(differ: int, gained: int, theta: float) -> float:
    """P(at least `gained` of `differ`), term by term."""
    return sum(
        math.comb(differ, k) * theta**k * (1 - theta) ** (differ - k)
        for k in range(gained, differ + 1)
    )


@pytest.mark.parametrize(("gained", "lost"), [(8, 2), (20, 12), (5, 5), (0, 3), (3, 0)])
def test_bound_and_p_value_are_those_of_the_binomial_distribution(gained: int, lost: int) -> None:
    fused = np.array([True] * gained + [False] * lost + [True] * 20)
    single = np.array([False] * gained + [True] * lost + [True] * 20)
    found = headroom(fused, single[None])
    differ = gained + lost
    assert found.p_value == pytest.approx(tail(differ, gained, 0.5))
    theta = (found.lower * len(fused) / differ + 1) / 2
    if gained:
        assert tail(differ, gained, theta) == pytest.approx(0.05)
    else:
        assert theta == 0
    assert found.one_is_enough == (found.p_value >= 0.05)
    assert found.fused - found.single == pytest.approx((gained - lost) / len(fused))


def test_answers_that_are_alike_show_no_gain() -> None:
    right = np.array([True, False, True])
    found = headroom(right, np.stack([right, ~right]))
    assert (found.best, found.lower, found.p_value, found.one_is_enough) == (0, 0.0, 1.0, True)


def test_no_gain_is_invented_in_more_than_one_case_of_twenty() -> None:
    """Fused answers as good as the single agent's, but right on other texts."""
    rng = generator(0, "null")
    cases = [rng.random((2, 300)) < 0.7 for _ in range(1000)]
    invented = np.mean([not headroom(fused, single[None]).one_is_enough for fused, single in cases])
    assert invented < 0.06


def test_gain_of_four_points_is_found() -> None:
    """The best agent is right in 70 %: 5 % of these are lost, 25 % of the others are gained."""
    rng = generator(0, "gain")
    found = []
    for _ in range(50):
        single = rng.random((3, 2000)) < np.array([[0.7], [0.6], [0.6]])
        fused = single[0] ^ (rng.random(2000) < np.where(single[0], 0.05, 0.25))
        found.append(not headroom(fused, single).one_is_enough)
    assert np.mean(found) > 0.8


def test_copies_of_one_origin_count_once() -> None:
    good, bad = np.array([[0.9, 0.1]]), np.array([[0.3, 0.7]])
    fused = mean_fusion([good, bad, bad, bad], ["a", "b", "b", "b"])
    np.testing.assert_allclose(fused, [[0.6, 0.4]])


def test_answers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="do not fit") as caught:
        headroom(np.ones(3, dtype=bool), np.ones((2, 4), dtype=bool))
    assert caught.value.hint
