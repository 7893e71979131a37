"""Fusion by a weighted geometric mean of class probabilities.

Legend: S distinct origins, N texts, E texts of the split ``fit``, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.answering.answers import Labels, Rows
from agents.answering.logistic import minimise, softmax
from agents.answering.pool import Pool, TrainedFusion, log_odds
from agents.lazy_torch import F, Tensor, torch


@dataclass(frozen=True)
class WeightedLogPool(Pool):
    """A weighted geometric mean of the votes.

    Attributes:
        weights: `[S]`, at least 0.
    """

    weights: Rows

    def pool(self, votes_SNK: Rows, present_S: NDArray[np.bool_]) -> Rows:
        """Return ``softmax(sum of weight * log vote)`` over the origins that answered."""
        weights_S = np.where(present_S, self.weights, 0.0)
        safe_SNK = np.where(present_S[:, None, None], votes_SNK, 1.0)
        return softmax(np.einsum("s,snk->nk", weights_S, log_odds(safe_SNK)))


class LogPool(TrainedFusion):
    """Logarithmic pool: a geometric mean whose weights are fitted to labelled texts.

    The weights minimise the cross-entropy plus ``l2 / 2`` times their squared distance from equal weights
    that sum to one. Their sum is free: it sharpens or softens.

    Source: Genest and Zidek, Combining Probability Distributions, 1986.
    """

    kind: Literal["log_pool"] = "log_pool"
    l2: float = Field(
        1.0, gt=0.0, le=1e6, description="Pull towards equal weights, against a sum over texts."
    )

    def fit(self, votes_SEK: Rows, labels_E: Labels) -> WeightedLogPool:
        """Fit the weights by L-BFGS, on a scale where they stay positive."""
        logs, labels = torch.from_numpy(log_odds(votes_SEK)), torch.from_numpy(labels_E)
        equal = 1 / len(votes_SEK)
        start = torch.full((len(votes_SEK),), equal, dtype=torch.float64)
        raw = torch.log(torch.expm1(start)).requires_grad_()

        def loss() -> Tensor:
            weights = F.softplus(raw)
            scores = torch.einsum("s,snk->nk", weights, logs)
            penalty: Tensor = self.l2 / 2 * (weights - equal).square().sum()
            return (F.cross_entropy(scores, labels, reduction="sum") + penalty) / len(labels)

        minimise(loss, [raw])
        return WeightedLogPool(F.softplus(raw).detach().numpy())
