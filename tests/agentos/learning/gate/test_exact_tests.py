from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.stats import beta

from agentos.learning.gate.exact_tests import (
    drop_p_values,
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


def probability(n: int, g: int, k: int, gain: float, loss: float) -> float:
    ways = comb(n, g) * comb(n - g, k)
    return float(ways * gain**g * loss**k * (1 - gain - loss) ** (n - g - k))


def test_drop_p_values_hold_for_every_true_drop() -> None:
    n, alpha, drop = 14, 0.1, 0.1
    outcomes = [(g, k) for g in range(n + 1) for k in range(n + 1 - g)]
    found = {each: drop_p_values(*each, n, drop, spare=0.01) for each in outcomes}
    for gain in (0.0, 0.05, 0.2, 0.4):
        for loss in (0.0, 0.1, 0.15, 0.3, 0.5):
            chances = {each: probability(n, *each, gain, loss) for each in outcomes}
            if loss - gain >= drop - 1e-9:
                wrong = sum(p for each, p in chances.items() if found[each].smaller <= alpha)
                assert wrong <= alpha
            if loss - gain <= drop + 1e-9:
                wrong = sum(p for each, p in chances.items() if found[each].larger <= alpha)
                assert wrong <= alpha


@pytest.mark.parametrize("drop", [0.2, 0.05])
def test_drop_p_values_are_the_largest_of_slow_sums(drop: float) -> None:
    n, gained, lost, spare = 30, 2, 5, 0.01
    low, high = (float(beta.ppf(p, a, b)) for p, a, b in ((0.005, 7, 24), (0.995, 8, 23)))
    smaller = larger = 0.0
    for share in [*np.linspace(low, high, 9), np.clip(drop, low, high)]:
        down = (share + min(drop, share)) / 2
        rows = [
            (k - g, probability(n, g, k, share - down, down))
            for g in range(n + 1)
            for k in range(n + 1 - g)
        ]
        if share >= drop:
            smaller = max(smaller, sum(p for each, p in rows if each <= lost - gained))
        larger = max(larger, sum(p for each, p in rows if each >= lost - gained))
    found = drop_p_values(gained, lost, n, drop, spare)
    less = lost - gained < n * drop
    assert found.smaller == pytest.approx(smaller + spare if less else 1.0, abs=1e-9)
    assert found.larger == pytest.approx(1.0 if less else larger + spare, abs=1e-9)


def test_no_change_in_many_examples_shows_that_the_drop_is_small() -> None:
    # If a share of exactly the drop is lost, none is in n examples with a probability of (1 - drop)^n.
    found = drop_p_values(0, 0, 100, 0.05)
    assert 0.95**100 < found.smaller < 0.05
    assert found.larger == 1.0
    assert drop_p_values(0, 0, 10, 0.05).smaller > 0.95**10 > 0.5


def test_drop_of_a_few_examples_is_open_either_way() -> None:
    found = drop_p_values(3, 4, 20, 0.05)
    assert found.smaller > 0.2
    assert drop_p_values(3, 6, 20, 0.05).larger > 0.2


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
