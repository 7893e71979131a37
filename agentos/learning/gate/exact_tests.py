"""Exact tests of two models on the same examples.

Legend: n examples; of these, `gained` are right only under the new model, and `lost` only under the old one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import beta, binom


def gain_p_value(gained: int, lost: int) -> float:
    """Return the p-value of the exact one-sided McNemar test: P(at least `gained` of all that changed).

    Under the null hypothesis an example that changes is gained with probability 1/2. Nothing changed: 1.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, 1947.

    Example:
        >>> gain_p_value(5, 0)
        0.03125
    """
    return float(binom.sf(gained - 1, gained + lost, 0.5))


def drop_bounds(gained: int, lost: int, examples: int, alpha: float) -> tuple[float, float]:
    """Return a lower and an upper confidence bound of the drop in accuracy, each at level 1 - alpha.

    The drop is P(lost) - P(gained). Each bound combines the Clopper-Pearson bounds of the two at alpha / 2,
    so that it holds for any n and any dependence between them; it is wider than it would need to be.

    Source: Clopper and Pearson, The use of confidence or fiducial limits, 1934.
    """
    half = alpha / 2
    low = _lower(lost, examples, half) - _upper(gained, examples, half)
    high = _upper(lost, examples, half) - _lower(gained, examples, half)
    return low, high


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
