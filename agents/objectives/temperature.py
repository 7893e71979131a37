"""A temperature that is learnt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SMALLEST = 0.01
"""Temperatures are kept from falling below it: cosines are multiplied by 100 at most."""


class LearntTemperature(nn.Module):
    """A temperature ``exp(-s)`` with a trained scalar ``s``.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.

    Args:
        initial: where it begins, at least `SMALLEST`.

    Example:
        >>> round(LearntTemperature(0.05)().item(), 4)
        0.05
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(initial)))

    def forward(self) -> Tensor:
        """Return the temperature, a scalar attached to the graph."""
        # The parameter itself is clipped: were it only its use, it would lose its gradient beyond the bound.
        with torch.no_grad():
            self.log_scale.clamp_(max=-math.log(SMALLEST))
        return (-self.log_scale).exp()
