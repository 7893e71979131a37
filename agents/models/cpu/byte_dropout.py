"""Dropout with a mask that is cheap to draw on a CPU.

PyTorch draws Bernoulli numbers one by one on one thread, which takes 7 % of a small encoder's step on a
recent processor and up to a third on an older one (``experiments.benchmarks.cpu_step``). Here eight elements
share one 64-bit draw, a byte each, so the probability is rounded to 1/256.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 256


class ByteDropout(nn.Module):
    """Dropout with one random byte per element.

    The probability in force is ``round(256 p) / 256``, and the kept elements are scaled by exactly its
    complement, so the expectation is unchanged.

    Args:
        p: probability of an element to be zeroed, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        # At least one byte value in 256 keeps its element: with none kept, the scale would be infinite.
        self.threshold = min(round(p * _LEVELS), _LEVELS - 1)
        self.scale = _LEVELS / (_LEVELS - self.threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share of `x` (any shape) in training; return it unchanged otherwise."""
        if not self.training or self.threshold == 0:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        # The range starts at the least integer because the default one leaves the top bit of every word zero.
        words.random_(-(2**63), None)
        draws = words.view(torch.uint8)[: x.numel()].view(x.shape)
        # Comparing straight into a float mask costs a quarter of making a boolean one and converting it.
        mask = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        torch.ge(draws, self.threshold, out=mask)
        return x * mask.mul_(self.scale)

    def extra_repr(self) -> str:
        """Show the probability in the module's representation."""
        return f"p={self.p}"


def dropout_of(module: nn.Module) -> float:
    """Return the largest dropout probability in force in a module; 0 if it has no dropout."""
    plain = [m.p for m in module.modules() if isinstance(m, nn.Dropout)]
    bytewise = [m.threshold / _LEVELS for m in module.modules() if isinstance(m, ByteDropout)]
    return max([0.0, *plain, *bytewise])


def use_byte_dropout(module: nn.Module) -> None:
    """Replace every `torch.nn.Dropout` below `module` in place."""
    for name, child in module.named_children():
        if type(child) is nn.Dropout:
            setattr(module, name, ByteDropout(child.p))
        else:
            use_byte_dropout(child)
