"""Dropout with a mask that is cheap to draw on a CPU.

PyTorch draws Bernoulli numbers one by one on one thread, which takes 7 % of a small encoder's step on a
recent processor and up to a third on an older one (``experiments.benchmarks.steps.cpu_step``). Here eight
elements share one 64-bit draw, a byte each, so the probability is rounded to 1/256.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = 256
"""Values of a byte; a dropout probability is a share of them."""


class ByteDropout(nn.Module):
    """Dropout with one random byte per element.

    The probability in force is ``round(256 p) / 256``, and the kept elements are scaled by exactly its
    complement, so the expectation is unchanged.

    Args:
        p: probability that an element is zeroed, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share of `x` (any shape) in training; return it unchanged otherwise."""
        return byte_dropout(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        """Show the probability in the module's representation."""
        return f"p={self.p}"


def byte_dropout(x: Tensor, p: float) -> Tensor:
    """Zero a share `p` of `x` (any shape), rounded to 1/256, and scale the rest; see `ByteDropout`."""
    threshold = threshold_of(p)
    if threshold == 0:
        return x
    draws = draw_bytes(x.shape, x.device)
    # Comparing straight into a float mask takes a quarter of the time of building a boolean mask and
    # converting it.
    mask = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    torch.ge(draws, threshold, out=mask)
    return x * mask.mul_(LEVELS / (LEVELS - threshold))


def draw_bytes(
    shape: Sequence[int], device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Draw uniform bytes of a shape, by default from the device's own generator."""
    count = math.prod(shape)
    words = torch.empty(-(-count // 8), dtype=torch.int64, device=device)
    # The range starts at the least integer because the default leaves the top bit of every word zero.
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[:count].view(tuple(shape))


def threshold_of(p: float) -> int:
    """Return the number of byte values that drop an element under a probability `p`."""
    # At least one byte value in 256 keeps its element: with none kept, the scale would be infinite.
    return min(round(p * LEVELS), LEVELS - 1)


def dropout_of(module: nn.Module) -> float:
    """Return the largest dropout probability in force in a module; 0 if it has no dropout."""
    plain = [m.p for m in module.modules() if isinstance(m, nn.Dropout)]
    bytewise = [threshold_of(m.p) / LEVELS for m in module.modules() if isinstance(m, ByteDropout)]
    return max([0.0, *plain, *bytewise])


def use_byte_dropout(module: nn.Module) -> None:
    """Replace every `torch.nn.Dropout` below `module` in place."""
    for name, child in module.named_children():
        if type(child) is nn.Dropout:
            setattr(module, name, ByteDropout(child.p))
        else:
            use_byte_dropout(child)
