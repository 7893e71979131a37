"""Confidence above which labels are right often enough, with a stated certainty.

Legend: M calibration texts, N texts to label.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

_GROWTH = 1.2
"""Factor from one number of accepted texts that is tested to the next."""


def precise_threshold(
    confidence_M: NDArray[np.floating],
    right_M: NDArray[np.bool_],
    asked_N: NDArray[np.floating],
    precision: float,
    certainty: float,
) -> float | None:
    """Return the lowest confidence above which labels have a precision, or None if none is certain to.

    With a probability of `certainty` over the draw of the calibration texts, labels whose confidence
    *exceeds* the threshold are right with a probability of at least `precision`.

    Candidates are confidences that growing shares of the texts to label exceed. The calibration has no part
    in them, so that the texts above each are an independent sample of what it accepts, and the
    Clopper-Pearson bound of their precision holds. They are tested in this fixed sequence until one fails,
    each at the full level: a false one passes only if the first false one does.

    Args:
        confidence_M, right_M: of the calibration texts, and whether their labels are right.
        asked_N: confidence of the texts to label.
        precision: share of labels that must be right.
        certainty: probability with which it is reached.

    Sources: Clopper and Pearson, The use of confidence or fiducial limits, 1934; Angelopoulos et al., Learn
    then Test, 2021, for thresholds chosen by tests in a fixed sequence.
    """
    ranked = np.sort(asked_N)[::-1]
    fewest = int(np.ceil(np.log(1 - certainty) / np.log(precision)))
    threshold = None
    for size in _sizes(fewest, len(confidence_M)):
        place = round(size / len(confidence_M) * len(ranked))
        # The next lower confidence is the candidate; below the last text it is that of an abstention.
        limit = float(ranked[place]) if place < len(ranked) else 0.0
        above = confidence_M > limit
        hits, total = int(right_M[above].sum()), int(above.sum())
        if total < fewest:
            continue  # no labels could be proof
        if not hits or float(beta.ppf(1 - certainty, hits, total - hits + 1)) < precision:
            break
        threshold = limit
    return threshold


def _sizes(fewest: int, most: int) -> Iterator[int]:
    """Yield the numbers of calibration texts that candidates are about to accept.

    The first is twice what could be proof, so that a slip among the most confident does not end it all.
    """
    size = 2 * fewest
    while size < most:
        yield size
        size = max(size + 1, int(size * _GROWTH))
    if most >= fewest:
        yield most
