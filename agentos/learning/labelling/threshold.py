"""Confidence above which labels are right often enough, with a stated certainty.

Legend: M calibration texts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

_GROWTH = 1.2
"""Factor from one size of the accepted part that is tested to the next."""


def precise_threshold(
    confidence_M: NDArray[np.floating],
    right_M: NDArray[np.bool_],
    precision: float,
    certainty: float,
) -> float | None:
    """Return the lowest confidence above which labels have a precision, or None if none is certain to.

    With a probability of `certainty` over the draw of the calibration texts, labels whose confidence
    *exceeds* the threshold are right with a probability of at least `precision`.

    Candidates are the order statistics of the confidence, at sizes that grow by a constant factor. Given the
    candidate, the texts above it are an independent sample of what it accepts, so the Clopper-Pearson bound
    of their precision holds; the candidates share the error by Bonferroni.

    Sources: Clopper and Pearson, The use of confidence or fiducial limits, 1934; Angelopoulos et al., Learn
    then Test, 2021, for thresholds chosen by tests.
    """
    order = np.argsort(-confidence_M, kind="stable")
    ranked, right = confidence_M[order], right_M[order]
    fewest = int(np.ceil(np.log(1 - certainty) / np.log(precision)))
    sizes = list(_sizes(fewest, len(ranked)))
    for size in reversed(sizes):
        # The next lower confidence is the candidate; below the last text it is that of an abstention.
        limit = float(ranked[size]) if size < len(ranked) else 0.0
        above = ranked > limit
        if not above.any():
            continue
        hits, total = int(right[above].sum()), int(above.sum())
        error = (1 - certainty) / len(sizes)
        if hits and float(beta.ppf(error, hits, total - hits + 1)) >= precision:
            return limit
    return None


def _sizes(fewest: int, most: int) -> Iterator[int]:
    size = fewest
    while size < most:
        yield size
        size = max(size + 1, int(size * _GROWTH))
    if most >= fewest:
        yield most
