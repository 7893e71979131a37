"""Weighted means, which every strategy that averages uses."""

from __future__ import annotations

from collections.abc import Sequence

from agents.lazy_torch import Tensor, torch

Weighted = tuple[Tensor, float]
"""A tensor, and its weight."""


def weighted_mean(parts: Sequence[Weighted]) -> Weighted:
    """Return the weighted mean of tensors and the sum of their weights, added in the given order."""
    total = sum(weight for _, weight in parts)
    mean = torch.zeros_like(parts[0][0])
    for values, weight in parts:
        mean.add_(values, alpha=weight / total)
    return mean, total
