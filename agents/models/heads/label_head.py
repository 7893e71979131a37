"""The classifier that an agent's own labels train.

Legend: N texts, K classes, W width of the backbone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agents.models.text_encoder import LabelScores

_MOMENTUM = 0.1
_TEMPERATURE = 0.1
"""Divides the cosines that an imprinted row scores by."""


class LabelHead(nn.Module):
    """Maps pooled states to class scores: linear in the direction in which a text differs from the mean text.

    ``sqrt(W) * weight @ unit(pooled - mean) + bias``. Pooled states of a small encoder share most of their
    length, and a few labels cannot teach a classifier to look past that.

    Args:
        width: W.
        classes: K.

    Attributes:
        mean: `[W]`, running mean of the pooled states of training text.
        seen: number of batches in the mean.
        met: `[K]` bool, classes whose row has been imprinted; not saved.
    """

    mean: Tensor
    seen: Tensor
    met: Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("met", torch.zeros(classes, dtype=torch.bool), persistent=False)

    def track(self, pooled_NW: Tensor) -> None:
        """Move the mean towards that of a batch: a plain mean at first, then with a momentum of 0.1."""
        self.seen += 1
        share = 1.0 / self.seen.clamp(max=round(1 / _MOMENTUM)).to(self.mean.dtype)
        self.mean += share * (pooled_NW.detach().float().mean(dim=0) - self.mean)

    @contextmanager
    def centred_at(self, mean_W: Tensor) -> Iterator[None]:
        """Have another mean within the context."""
        kept, self.mean = self.mean, mean_W
        try:
            yield
        finally:
            self.mean = kept

    @torch.no_grad()
    def imprint(self, pooled_NW: Tensor, labels_N: Tensor) -> None:
        """Point the row of each class that is new here at the mean direction of its texts.

        Such a row scores a text by its cosine to them over 0.1. A head that was trained before is left alone.

        Source: Qi et al., Low-Shot Learning with Imprinted Weights, 2018.
        """
        if bool(self.seen > 1) and not bool(self.met.any()):
            return
        unit_NW = F.normalize(pooled_NW.float() - self.mean, dim=-1)
        members_KN = F.one_hot(labels_N, len(self.met)).T
        # Not as a product of matrices, which autocast would round.
        sums_KW = (members_KN[:, :, None] * unit_NW).sum(dim=1)
        rows_KW = F.normalize(sums_KW, dim=-1) / (_TEMPERATURE * self.mean.numel() ** 0.5)
        new_K = members_KN.any(dim=1) & ~self.met
        self.linear.weight[new_K] = rows_KW[new_K]
        self.linear.bias[new_K] = 0.0
        self.met |= new_K

    def forward(self, pooled_NW: Tensor) -> Tensor:
        """Return class scores `[N, K]`, float32."""
        centred_NW = F.normalize(pooled_NW.float() - self.mean, dim=-1) * self.mean.numel() ** 0.5
        scores_NK: Tensor = self.linear(centred_NW).float()
        return scores_NK


def label_scores(scores_NK: Tensor, names: Sequence[str]) -> LabelScores:
    """Return class probabilities from the scores of a head."""
    return LabelScores(tuple(names), torch.softmax(scores_NK.double(), dim=-1).cpu().numpy())
