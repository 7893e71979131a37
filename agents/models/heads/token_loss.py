"""Cross-entropy of tokens over a vocabulary, a few rows at a time.

Logits are the largest tensor of a language model. The plain loss copies them to float32 under autocast, and
keeps their log-probabilities for the gradient. Here the logits are kept in their own precision, and what is
derived from them fits the cache: on a CPU, 2,048 tokens of 8,192 words take half the time in bfloat16 and
four fifths in float32, their products included (``experiments.benchmarks.steps.token_losses``).

Legend: M tokens, R rows of a part, V size of the vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 64


def token_losses(logits_MV: Tensor, targets_M: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``-log p`` of each target in nats, and whether it was the most probable token.

    Args:
        logits_MV: float32 or bfloat16; sums are in float32.
        targets_M: int64.

    Returns:
        Two float32 tensors `[M]`, the first attached to the graph.
    """
    nll_M, correct_M = _TokenLosses.apply(logits_MV, targets_M)  # type: ignore[no-untyped-call]
    return nll_M, correct_M


class _TokenLosses(torch.autograd.Function):
    """`token_losses`, which computes the probabilities again for the gradient."""

    @staticmethod
    def forward(ctx: Any, logits_MV: Tensor, targets_M: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits_MV, targets_M)
        nll_M = torch.empty(len(logits_MV), device=logits_MV.device)
        correct_M = torch.empty_like(nll_M)
        for start in range(0, len(logits_MV), _ROWS):
            part = slice(start, start + _ROWS)
            logs_RV = logits_MV[part].float().log_softmax(dim=1)
            nll_M[part] = -logs_RV.gather(1, targets_M[part, None]).squeeze(1)
            correct_M[part] = logs_RV.argmax(dim=1) == targets_M[part]
        ctx.mark_non_differentiable(correct_M)
        return nll_M, correct_M

    @staticmethod
    def backward(ctx: Any, gradient_M: Tensor, _: Tensor) -> tuple[Tensor, None]:
        logits_MV, targets_M = ctx.saved_tensors
        gradient_MV = torch.empty_like(logits_MV)
        for start in range(0, len(logits_MV), _ROWS):
            part = slice(start, start + _ROWS)
            # The gradient of -log softmax at the target: the probabilities, less one at the target.
            left_RV = logits_MV[part].float().softmax(dim=1)
            left_RV[torch.arange(len(left_RV), device=left_RV.device), targets_M[part]] -= 1.0
            gradient_MV[part] = left_RV.mul_(gradient_M[part, None])
        return gradient_MV, None
