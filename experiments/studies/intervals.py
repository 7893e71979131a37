"""Means of a few runs, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % confidence interval, infinite for a single value."""

    mean: float
    half_width: float


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of independent runs with Student's t interval.

    Args:
        values: one value per seed.
        confidence: coverage of the interval.

    Example:
        >>> [round(x, 3) for x in interval([1.0, 2.0, 3.0])]  # t of 2 degrees of freedom: 4.303
        [2.0, 2.484]
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        return Interval(float(sample.mean()), float("inf"))
    error = float(sample.std(ddof=1)) / float(np.sqrt(len(sample)))
    factor = float(stats.t.ppf(0.5 + confidence / 2, df=len(sample) - 1))
    return Interval(float(sample.mean()), factor * error)
