"""Sums and means over the steps of a round."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

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

    def add_losses(self, loss: Tensor, exchange_loss: Tensor | None) -> None:
        """Add the losses of a batch."""
        self._add_ratio("loss", loss.detach(), 1.0)
        if exchange_loss is not None:
            self._add_ratio("exchange_loss", exchange_loss.detach(), 1.0)

    def add_objective(self, objective: str | None, result: LossOutput) -> None:
        """Add the metrics of an objective, and its own loss if it is named."""
        if objective is not None:
            self._add_ratio(f"{objective}_loss", result.loss.detach(), 1.0)
        self.decoder_tokens += result.decoder_tokens
        for name, ratio in result.metrics.items():
            self._add_metric(name, ratio)

    def add_tokens(self, token_counts: np.ndarray, anchors: int) -> None:
        """Add the tokens `[B]` that went through the encoder; the last texts are anchors."""
        self.tokens += int(token_counts.sum())
        if anchors:
            self.anchor_tokens += int(token_counts[-anchors:].sum())

    def metrics(self) -> dict[str, float]:
        """Return the means, and the numbers of tokens."""
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

    def _add_metric(self, name: str, ratio: Ratio) -> None:
        self._add_ratio(name, ratio.total.detach(), ratio.count)
        if ratio.exponential:
            self._exponential.add(name)

    def _add_ratio(self, name: str, total: Tensor, count: Tensor | float) -> None:
        zero = torch.zeros((), device=self._device)
        self._sums[name] = self._sums.get(name, zero) + total
        self._counts[name] = self._counts.get(name, zero) + count
