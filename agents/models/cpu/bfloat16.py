"""bfloat16 on processors that have no units for it.

There PyTorch's autocast runs products that are many times slower than float32. What a bfloat16 unit computes,
operands of 8 significant bits and sums in float32, can be had at almost the speed of float32: by rounding the
operands, and then the result.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RoundedLinear(nn.Linear):
    """A linear layer whose operands, result and gradients are rounded to bfloat16.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> use_rounding(nn.Sequential(layer))
        >>> out = layer(torch.ones(1, 3))
        >>> bool((out == out.bfloat16().float()).all())
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return ``input @ weight.T + bias`` as a bfloat16 unit would, in the type of the input."""
        bias = None if self.bias is None else rounded(self.bias)
        return rounded(F.linear(rounded(input), rounded(self.weight), bias))


def rounded(x: Tensor) -> Tensor:
    """Round to bfloat16, and the gradient too; the type stays."""
    return x.bfloat16().to(x.dtype)


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether autocast to bfloat16 runs on units made for it."""
    if device.type != "cpu":
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def use_rounding(module: nn.Module) -> None:
    """Turn every `torch.nn.Linear` below `module` into a `RoundedLinear`, in place."""
    for child in module.modules():
        if type(child) is nn.Linear:
            # Its parameters stay the same objects, so embeddings that are tied to them stay tied.
            child.__class__ = RoundedLinear
