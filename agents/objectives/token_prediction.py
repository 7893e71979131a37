"""Prediction of the tokens of a batch in a training step, shared by the language-modelling objectives.

Legend: B texts, T tokens, W width of the backbone.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.lazy_torch import Tensor
from agents.objectives.base import Ratio, Step
from agents.text.batch import Batch
from agents.text.masking import IGNORED


@dataclass(frozen=True)
class TokenPredictions:
    """Predictions of the labelled tokens of a batch, summed.

    Attributes:
        loss: mean negative log-likelihood in nats, attached to the graph; 0 if there was nothing to predict.
        nll: its sum over tokens, detached.
        correct: tokens whose most probable prediction was right.
        count: tokens that were predicted.
        pooled: one view `[B, W]`, or none.
    """

    loss: Tensor
    nll: Tensor
    correct: Tensor
    count: Tensor
    pooled: tuple[Tensor, ...]

    def accuracy(self) -> Ratio:
        """Return the share of right predictions."""
        return Ratio(self.correct, self.count)

    def perplexity(self) -> Ratio:
        """Return the perplexity per token."""
        return Ratio(self.nll, self.count, exponential=True)


def predict_tokens(
    step: Step, batch: Batch, labels_BT: Tensor, with_pooled: bool = False
) -> TokenPredictions:
    """Predict the labelled tokens of a batch, in micro-batches where configured.

    Args:
        step: its encoder has a language-model head.
        batch: B texts.
        labels_BT: the true token where the state predicts one, or `IGNORED`.
        with_pooled: whether to pool the same states.
    """

    def rows(part: Batch, labels: Tensor) -> Tensor:
        return step.encoder.predict_tokens(part, labels, with_pooled)

    rows_BX = step.rowwise(rows, batch, labels_BT)
    nll, correct = rows_BX[:, 0].sum(), rows_BX[:, 1].sum().detach()
    count = (labels_BT != IGNORED).sum()
    views = (rows_BX[:, 2:],) if with_pooled else ()
    return TokenPredictions(nll / count.clamp(min=1), nll.detach(), correct, count, views)
