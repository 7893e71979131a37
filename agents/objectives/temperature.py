"""A learnt temperature ``exp(-s)`` with a trained scalar ``s``.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.
"""

from __future__ import annotations

import math

from agents.lazy_torch import Tensor, nn, torch

SMALLEST = 0.01
"""Lower bound of temperatures: cosines are multiplied by 100 at most."""


def learnt_temperature(initial: float) -> nn.Module:
    """Return a head that holds ``s``, for a temperature that begins at `initial`, at least `SMALLEST`.

    Example:
        >>> round(read_temperature(learnt_temperature(0.05)).item(), 4)
        0.05
    """
    head = nn.Module()
    head.log_scale = nn.Parameter(torch.tensor(-math.log(initial)))
    return head


def read_temperature(head: nn.Module) -> Tensor:
    """Return the temperature of a head, a scalar attached to the graph."""
    log_scale: Tensor = head.get_parameter("log_scale")
    # The parameter itself is clamped: a clamp in the graph would cut off its gradient beyond the bound.
    with torch.no_grad():
        log_scale.clamp_(max=-math.log(SMALLEST))
    return (-log_scale).exp()
