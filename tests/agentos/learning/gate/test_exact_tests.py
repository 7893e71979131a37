from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from agentos.learning.gate.exact_tests import (
    drop_bounds,
    examples_to_see,
    gain_p_value,
    power_to_see,
)


def slow_p_value(gained: int, lost: int) -> Fraction:
    changed = gained + lost
    return sum(
        (Fraction(comb(changed, k), 2**changed) for k in range(gained, changed + 1)), Fraction(0)
    )


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (0, 5), (12, 7), (40, 21)])
def test_gain_p_value_is_the_exact_sum(gained: int, lost: int) -> None:
    assert gain_p_value(gained, lost) == pytest.approx(float(slow_p_value(gained, lost)), rel=1e-12)


def test_drop_bounds_hold_for_every_true_drop() -> None:
    n, alpha = 12, 0.1
    outcomes = [(g, k) for g in range(n + 1) for k in range(n + 1 - g)]
    bounds = {outcome: drop_bounds(*outcome, n, alpha) for outcome in outcomes}
    for gain in (0.0, 0.05, 0.2, 0.5):
        for loss in (0.0, 0.1, 0.3, 0.5):
            above = below = 0.0
            for (g, k), (low, high) in bounds.items():
                ways = comb(n, g) * comb(n - g, k)
                probability = ways * gain**g * loss**k * (1 - gain - loss) ** (n - g - k)
                below += probability * (low > loss - gain + 1e-12)
                above += probability * (high < loss - gain - 1e-12)
            assert max(above, below) <= alpha


def test_drop_bounds_without_a_change_are_the_rule_of_three() -> None:
    # No loss in n examples: the upper bound u satisfies (1 - u)^n = alpha / 2.
    low, high = drop_bounds(0, 0, 100, 0.1)
    assert (1 - high) ** 100 == pytest.approx(0.05)
    assert low == pytest.approx(-high)


def test_power_is_that_of_a_slow_sum() -> None:
    n, gain, changed, alpha = 40, 0.2, 0.3, 0.05
    up, down = (changed + gain) / 2, (changed - gain) / 2
    slow = sum(
        comb(n, g) * comb(n - g, k) * up**g * down**k * (1 - changed) ** (n - g - k)
        for g in range(n + 1)
        for k in range(n + 1 - g)
        if slow_p_value(g, k) <= Fraction(alpha)
    )
    assert power_to_see(n, gain, changed, alpha) == pytest.approx(slow, abs=1e-6)


def test_examples_to_see_reach_the_power_in_draws() -> None:
    needed = examples_to_see(gain=0.02, changed=0.08)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(needed, [0.05, 0.03, 0.92], size=2000)
    seen = np.mean([gain_p_value(gained, lost) <= 0.05 for gained, lost, _ in draws])
    assert 0.77 < seen < 0.83


@pytest.mark.parametrize(("gain", "changed"), [(0.0, 0.1), (0.2, 0.1)])
def test_impossible_gain_is_refused(gain: float, changed: float) -> None:
    with pytest.raises(ValueError, match="cannot come from"):
        examples_to_see(gain, changed)
