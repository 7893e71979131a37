"""The statistics of the studies, against values computed by hand and slow references."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from agentos.reporting.statistics import gap_closed, headroom, holm, paired_p

ISOLATED = [0.40, 0.42, 0.39, 0.41, 0.40]
CENTRALISED = [0.50, 0.53, 0.50, 0.50, 0.52]
BETWEEN = [0.45, 0.46, 0.46, 0.45, 0.47]


def test_holm_is_what_the_paper_does_step_by_step() -> None:
    # 4 x .005, 3 x .01, 2 x .03, 1 x .04: .02, .03, .06, and .04 raised to the .06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_paired_p_is_that_of_the_t_statistic() -> None:
    from scipy import stats

    differences = np.subtract(BETWEEN, ISOLATED)
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(5))
    assert paired_p(BETWEEN, ISOLATED) == pytest.approx(2 * stats.t.sf(abs(t), df=4))


def test_paired_p_of_no_difference_is_1_and_of_a_constant_one_0() -> None:
    assert paired_p(ISOLATED, ISOLATED) == 1.0
    assert paired_p([0.5], [0.4]) == 1.0
    assert paired_p([0.5, 0.75], [0.25, 0.5]) == 0.0


def test_share_of_the_gap_is_0_alone_and_1_centralised() -> None:
    assert gap_closed(ISOLATED, ISOLATED, CENTRALISED) == (0.0, 0.0, 0.0)
    assert gap_closed(CENTRALISED, ISOLATED, CENTRALISED) == (1.0, 1.0, 1.0)


def test_share_and_its_interval_are_those_of_every_resample() -> None:
    arms = np.array([BETWEEN, ISOLATED, CENTRALISED])
    means = [arms.mean(axis=1)]
    means += [arms[:, list(seeds)].mean(axis=1) for seeds in itertools.product(range(5), repeat=5)]
    shares = [(q - alone) / (best - alone) for q, alone, best in means]
    found = gap_closed(BETWEEN, ISOLATED, CENTRALISED)
    assert found.value == pytest.approx(shares[0])
    # 9,999 random resamples against all 3,125.
    np.testing.assert_allclose(found[1:], np.percentile(shares[1:], [2.5, 97.5]), atol=0.01)


def test_interval_of_one_seed_is_unknown() -> None:
    assert gap_closed([0.45], [0.4], [0.5])[1:] == (float("-inf"), float("inf"))


def test_headroom_is_the_paired_gap_over_three_half_widths() -> None:
    # Differences .10, .11, .11, .09, .12: mean .106, s .0114018; t(4) 2.77645 gives .0141572.
    found = headroom(ISOLATED, CENTRALISED)
    assert found.gap == pytest.approx((0.106, 0.0141572), abs=1e-6)
    assert found.enough
    assert not headroom(ISOLATED[:1], CENTRALISED[:1]).enough
    assert not headroom(CENTRALISED, ISOLATED).enough
