"""Exact tests of two models on the same examples.

Legend: n examples; of these, `gained` are right only under the new model, and `lost` only under the old one;
Q shares of examples that change, K numbers of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

Rows = NDArray[np.float64]
_SHARES = 9
"""Shares of changed examples over which a p-value is maximised; it varies slowly between them."""
_NEGLIGIBLE = 1e-12


def gain_p_value(gained: int, lost: int) -> float:
    """Return the p-value of the exact one-sided McNemar test: P(at least `gained` of all that changed).

    Under the null hypothesis an example that changes is gained with probability 1/2. Nothing changed: 1.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, 1947.

    Example:
        >>> gain_p_value(5, 0)
        0.03125
    """
    return float(binom.sf(gained - 1, gained + lost, 0.5))


class DropPValues(NamedTuple):
    """Two p-values about a drop in accuracy.

    Attributes:
        smaller: small where the drop is shown to be less than stated; 1 where as much was seen.
        larger: small where it is shown to be more; 1 where less was seen.
    """

    smaller: float
    larger: float


def drop_p_values(
    gained: int, lost: int, examples: int, drop: float, spare: float = 1e-3
) -> DropPValues:
    """Return how well a drop of less, and of more, than `drop` are shown: exact unconditional tests.

    The drop is P(lost) - P(gained). The chance of a difference as small, or as large, as the one seen
    depends on the share of the examples that change, too. It is the largest chance over a confidence
    interval of that share at level 1 - spare, plus `spare`: each test holds for any n and any share.

    Source: Berger and Boos, P Values Maximized over a Confidence Set for the Nuisance Parameter, 1994.

    Example:
        >>> [round(p, 3) for p in drop_p_values(gained=0, lost=0, examples=100, drop=0.05)]
        [0.038, 1.0]
    """
    changed, difference = gained + lost, lost - gained
    low, high = _lower(changed, examples, spare / 2), _upper(changed, examples, spare / 2)
    shares = np.append(np.linspace(low, high, _SHARES), np.clip(drop, low, high))
    if difference < examples * drop:  # else nothing speaks for a smaller drop
        possible = shares[shares >= drop]  # a smaller share cannot drop by so much
        chances = _at_most(difference, examples, possible, np.full(len(possible), drop))
        return DropPValues(min(1.0, float(chances.max(initial=0.0)) + spare), 1.0)
    chances = 1.0 - _at_most(difference - 1, examples, shares, np.minimum(shares, drop))
    return DropPValues(1.0, min(1.0, float(chances.max(initial=0.0)) + spare))


def _at_most(limit: int, examples: int, shares_Q: Rows, drops_Q: Rows) -> Rows:
    """Return P(lost - gained <= limit) `[Q]` for some shares that change, and drops of at most these."""
    # Numbers that change with a probability of less than `_NEGLIGIBLE` under every share are left out.
    ends = (shares_Q.min(initial=1.0), shares_Q.max(initial=0.0))
    first, last = binom.ppf((_NEGLIGIBLE, 1 - _NEGLIGIBLE), examples, ends)
    counts_K = np.arange(max(first, 0), last + 1)
    likely_QK = binom.pmf(counts_K, examples, shares_Q[:, None])
    most_K = (counts_K + limit) // 2
    lost_Q = np.divide(
        shares_Q + drops_Q, 2 * shares_Q, out=np.ones_like(shares_Q), where=shares_Q > 0
    )
    chance_QK = binom.cdf(most_K, counts_K, lost_Q[:, None])
    found: Rows = (likely_QK * chance_QK).sum(axis=1)
    return found


def examples_to_see(
    gain: float, changed: float, alpha: float = 0.05, power: float = 0.8, most: int = 1_000_000
) -> int:
    """Return the examples with which `gain_p_value` reaches `alpha` with a probability of `power`.

    Args:
        gain: true gain in accuracy.
        changed: share of the examples on which exactly one of the two models is right; at least `gain`.
        alpha: level of the test.
        power: probability to be reached.
        most: bound of the search.

    Raises:
        ValueError: `gain` is not in (0, changed], or `most` examples are too few.

    Example:
        >>> examples_to_see(gain=0.02, changed=0.06)
        996
    """
    if not 0 < gain <= changed <= 1:
        raise ValueError(f"a gain of {gain} cannot come from {changed} examples that change")
    low, high = 1, 2
    while power_to_see(high, gain, changed, alpha) < power:
        low, high = high, 2 * high
        if low > most:
            raise ValueError(f"{most} examples are too few to see a gain of {gain}")
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_to_see(middle, gain, changed, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def power_to_see(examples: int, gain: float, changed: float, alpha: float) -> float:
    """Return the probability that `gain_p_value` is at most `alpha`; see `examples_to_see`."""
    share = (changed + gain) / (2 * changed)  # of the examples that change, those that are gained
    counts = np.arange(examples + 1)
    likely = counts[binom.pmf(counts, examples, changed) > 1e-12]
    fewest = np.array(list(_fewest_gained(likely, alpha)))
    return float((binom.pmf(likely, examples, changed) * binom.sf(fewest - 1, likely, share)).sum())


def _fewest_gained(changed: np.ndarray, alpha: float) -> Iterator[int]:
    """Yield for each number of examples that changed how many must be gained."""
    for count in changed:
        yield int(binom.isf(alpha, count, 0.5)) + 1


def _lower(count: int, examples: int, alpha: float) -> float:
    return float(beta.ppf(alpha, count, examples - count + 1)) if count else 0.0


def _upper(count: int, examples: int, alpha: float) -> float:
    return float(beta.isf(alpha, count + 1, examples - count)) if count < examples else 1.0
