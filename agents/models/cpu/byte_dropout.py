"""Dropout whose mask costs little on a CPU.

PyTorch draws Bernoulli numbers one by one on one thread, which is a third of a small encoder's step.
Here eight elements share one 64-bit draw, a byte each, so the probability is rounded to 1/256.
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
        # At least one byte in 256 keeps its element, or nothing would be left to scale.
        self.threshold = min(round(p * _LEVELS), _LEVELS - 1)
        self.scale = _LEVELS / (_LEVELS - self.threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share of `x` (any shape) in training; return it unchanged otherwise."""
        if not self.training or self.threshold == 0:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        # From the least integer: the default range leaves the top bit of every word at zero.
        words.random_(-(2**63), None)
        draws = words.view(torch.uint8)[: x.numel()].view(x.shape)
        # Compared straight into a float mask: going through a boolean one costs four times as much.
        mask = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        torch.ge(draws, self.threshold, out=mask)
        return x * mask.mul_(self.scale)

    def extra_repr(self) -> str:
        """Show the probability in the module's representation."""
        return f"p={self.p}"


def dropout_of(module: nn.Module) -> float:
    """Return the largest dropout probability in force in a module; 0 where there is none."""
    plain = [m.p for m in module.modules() if isinstance(m, nn.Dropout)]
    cheap = [m.threshold / _LEVELS for m in module.modules() if isinstance(m, ByteDropout)]
    return max([0.0, *plain, *cheap])


def use_byte_dropout(module: nn.Module) -> None:
    """Replace every `torch.nn.Dropout` below `module` in place."""
    for name, child in module.named_children():
        if type(child) is nn.Dropout:
            setattr(module, name, ByteDropout(child.p))
        else:
            use_byte_dropout(child)
