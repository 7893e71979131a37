"""What is counted and averaged over the steps of a round."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from agents.objectives.base import LossOutput, Ratio

_LARGEST_EXPONENT = 700.0


class StepMetrics:
    """Sums over batches, kept on the device so that no step waits for a number."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._exponential: set[str] = set()
        self.tokens = 0
        self.anchor_tokens = 0
        self.decoder_tokens = 0

    def add(self, loss: Tensor, exchange_loss: Tensor | None) -> None:
        """Take in the losses of a batch."""
        self._ratio("loss", loss.detach(), 1.0)
        if exchange_loss is not None:
            self._ratio("exchange_loss", exchange_loss.detach(), 1.0)

    def tell(self, objective: str | None, result: LossOutput) -> None:
        """Take in what an objective reports, and its own loss where there are several."""
        if objective is not None:
            self._ratio(f"{objective}_loss", result.loss.detach(), 1.0)
        self.decoder_tokens += result.decoder_tokens
        for name, ratio in result.metrics.items():
            self._report(name, ratio)

    def count(self, token_counts: np.ndarray, anchors: int) -> None:
        """Count the tokens `[B]` that went through the encoder; the last texts are anchors."""
        self.tokens += int(token_counts.sum())
        if anchors:
            self.anchor_tokens += int(token_counts[-anchors:].sum())

    def metrics(self) -> dict[str, float]:
        """Return the means, and the tokens."""
        means = {
            name: float(total) / max(float(self._counts[name]), 1e-12)
            for name, total in self._sums.items()
        }
        for name in self._exponential:
            means[name] = math.exp(min(means[name], _LARGEST_EXPONENT))
        counts = {"tokens": self.tokens, "anchor_tokens": self.anchor_tokens}
        if self.decoder_tokens:
            counts["decoder_tokens"] = self.decoder_tokens
        return {**means, **counts}

    def _report(self, name: str, ratio: Ratio) -> None:
        self._ratio(name, ratio.total.detach(), ratio.count)
        if ratio.exponential:
            self._exponential.add(name)

    def _ratio(self, name: str, total: Tensor, count: Tensor | float) -> None:
        zero = torch.zeros((), device=self._device)
        self._sums[name] = self._sums.get(name, zero) + total
        self._counts[name] = self._counts.get(name, zero) + count
