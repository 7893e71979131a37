"""Fusion by a regression on the logarithms of the votes.

Legend: S distinct origins, N texts, E texts of the split ``fit``, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.answers import Labels, Rows
from agents.answering.logistic import fit_regression, softmax
from agents.answering.pool import Pool, TrainedFusion, log_odds


@dataclass(frozen=True)
class StackedPool(Pool):
    """A regression on the log votes, added to their mean.

    Attributes:
        means: `[S, K]`, mean log votes of the texts that it was fitted on; they stand in for absent origins.
        weight: `[S * K, K]`.
        bias: `[K]`.
    """

    means: Rows
    weight: Rows
    bias: Rows

    def pool(self, votes_SNK: Rows, present_S: NDArray[np.bool_]) -> Rows:
        """Return the softmax of the regression's scores."""
        present = present_S[:, None, None]
        logs_SNK = log_odds(np.where(present, votes_SNK, 1.0))
        features = flat(np.where(present, logs_SNK - self.means[:, None], 0.0))
        offset_NK = logs_SNK[present_S].mean(axis=0)
        return softmax(offset_NK + features @ self.weight + self.bias)


class Stacking(TrainedFusion):
    """Stacked generalisation: multinomial regression on the logarithms of out-of-fold votes.

    The regression corrects the geometric mean of the votes, towards which the penalty shrinks it: from few
    labelled texts little more than the mean is left, from many any linear map is learnt.

    Source: Wolpert, Stacked Generalization, 1992; Ting and Witten, Issues in Stacked Generalization, 1999.
    """

    kind: Literal["stacking"] = "stacking"
    l2: float = Field(
        300.0,
        gt=0.0,
        le=1e6,
        description="Penalty of the squared weights, against a sum over texts.",
    )

    def fit(self, votes_SEK: Rows, labels_E: Labels) -> StackedPool:
        """Fit the regression; see `fit_regression`."""
        logs_SEK = log_odds(votes_SEK)
        means_SK = logs_SEK.mean(axis=1)
        features = flat(logs_SEK - means_SK[:, None])
        classes = votes_SEK.shape[2]
        offset_EK = logs_SEK.mean(axis=0)
        fitted = fit_regression(features, labels_E, classes, self.l2, offset_EK)
        return StackedPool(means_SK, fitted.weight, fitted.bias)


def flat(values_SNK: Rows) -> Rows:
    """Return `[N, S * K]`, the values of one text in one row."""
    return np.ascontiguousarray(values_SNK.transpose(1, 0, 2)).reshape(values_SNK.shape[1], -1)
