"""Statistics of a few paired runs: intervals of means, shares of a gap closed, significance of differences.

Runs are paired by seed: under one seed all arms share the text, its division, the initial weights and the
held-out documents, so differences between seeds cancel out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from agentos.evaluation.base import Metric
from agentos.reporting.units import metric_text
from protocols.seeding import generator

HEADROOM = 3.0
"""Half-widths of its confidence interval that a gap must exceed for a study to begin."""


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % confidence interval, infinite for a single value."""

    mean: float
    half_width: float


class Share(NamedTuple):
    """A share of a gap, and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Headroom(NamedTuple):
    """The gap between training on all text and training alone, and whether it is large enough."""

    gap: Interval
    enough: bool


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
    factor = float(stdtrit(len(sample) - 1, 0.5 + confidence / 2))  # the quantile of Student's t
    return Interval(float(sample.mean()), factor * error)


def interval_text(value: Interval, metric: Metric, *, signed: bool = False) -> str:
    """Return a mean and the half-width of its interval, rounded as the metric is everywhere."""
    text = metric_text(value.mean, metric, signed=signed)
    half = metric_text(value.half_width, metric) if np.isfinite(value.half_width) else "?"
    return f"{text} ± {half}"


def headroom(isolated: Sequence[float], centralised: Sequence[float]) -> Headroom:
    """Return the mean paired difference, and whether it is at least three times its half-width.

    Example:
        >>> headroom([0.3, 0.32, 0.31], [0.5, 0.51, 0.52]).enough
        True
        >>> headroom([0.3, 0.4, 0.5], [0.5, 0.4, 0.45]).enough
        False
    """
    gap = interval(np.subtract(centralised, isolated).tolist())
    return Headroom(gap, gap.mean >= HEADROOM * gap.half_width)


def gap_closed(
    quality: Sequence[float], isolated: Sequence[float], centralised: Sequence[float]
) -> Share:
    r"""Return \((Q - Q_i) / (Q_c - Q_i)\) of the means over seeds: 0 is alone, 1 is all text in one place.

    The interval is a percentile bootstrap over paired seeds. Five seeds have only 126 distinct resamples, so
    it tends to be too narrow.

    Args:
        quality: quality of an arm, one value per seed; higher is better.
        isolated, centralised: quality of the two references under the same seeds.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    from scipy import stats  # not at the top: every run imports this module, and waits for it

    samples = np.array([quality, isolated, centralised], np.float64)
    value = float(_closed(samples[0], samples[1], samples[2]))
    if samples.shape[1] < 2:
        return Share(value, float("-inf"), float("inf"))
    found = stats.bootstrap(
        tuple(samples),
        _closed,
        paired=True,
        vectorized=True,
        method="percentile",
        random_state=generator(0, "bootstrap"),
    )
    return Share(value, *map(float, found.confidence_interval))


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p of a paired t test; 1 without any difference, or for a single pair.

    With five seeds a distribution-free test (Wilcoxon's) cannot go below 1/16, so differences are assumed to
    be normal.
    """
    from scipy import stats  # not at the top, as in `gap_closed`

    differences = np.subtract(first, second)
    if len(differences) < 2 or not differences.any():
        return 1.0
    if np.ptp(differences) == 0:  # a constant, nonzero difference
        return 0.0
    return float(stats.ttest_rel(first, second).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number: multiply the smallest by n, the next by n - 1, and so on.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def _closed(
    quality: NDArray[np.float64],
    isolated: NDArray[np.float64],
    centralised: NDArray[np.float64],
    axis: int = -1,
) -> NDArray[np.float64]:
    base = isolated.mean(axis=axis)
    share: NDArray[np.float64] = (quality.mean(axis=axis) - base) / (
        centralised.mean(axis=axis) - base
    )
    return share
