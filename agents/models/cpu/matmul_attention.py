"""Attention in bfloat16 on a CPU as two batched matrix products and a softmax.

PyTorch's flash attention for CPUs computes bfloat16 several times more slowly than float32 on the short texts
that agents read: with it, a ``nano`` step is slower in bfloat16 than in float32, and without it half as long
(``experiments.benchmarks.steps.cpu_step``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from agents.models.cpu.byte_dropout import byte_dropout

NAME = "agentos_matmul"
"""Name under which transformers knows this attention."""
_MOST_SCORES = 2**28
"""Scores of a batch that are kept at once, at most: 512 MiB, and where the softmax is in float32, 1 GiB more.

Flash attention keeps none.
"""
_LANES = 32
"""Numbers in bfloat16 of a vector of 512 bits."""
_UNSUPPORTED = ("position_bias", "cache", "softcap")


def matmul_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' ``sdpa`` does; float32 and what has other options is passed on to it.

    Args:
        module: attention layer, asked whether it is causal and how many query heads share a key.
        query: `[B, H, T, K]`.
        key, value: `[B, G, S, K]`; G divides H.
        attention_mask: broadcasts to `[B, H, T, S]`; boolean, true where a key is attended to, or added.
        dropout: probability that an attention weight is dropped.
        scaling: factor of the scores; by default ``K ** -0.5``.
        is_causal: whether a token attends to no later one if there is no mask; by default the module's.
        options: further options of transformers.

    Returns:
        `[B, T, H, K]`, and None for the weights.
    """
    batch, heads, length, width = query.shape
    unsupported = any(options.get(name) is not None for name in _UNSUPPORTED)
    too_large = batch * heads * length * key.shape[2] > _MOST_SCORES
    if query.dtype != torch.bfloat16 or unsupported or too_large:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **options
        )
    shared = heads // key.shape[1]
    key, value = repeat_kv(key, shared), repeat_kv(value, shared)
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if attention_mask is None and causal and length > 1:
        key, value = key[:, :, :length], value[:, :, :length]
        attention_mask = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    scale = width**-0.5 if scaling is None else scaling
    # Autocast would copy the scores to float32 for the softmax, which sums in float32 in any case.
    with torch.autocast(query.device.type, enabled=False):
        scores_BHTS = (query * scale) @ key.transpose(2, 3)
        if attention_mask is not None:
            scores_BHTS = _masked(scores_BHTS, attention_mask)
        weights_BHTS = byte_dropout(_softmax(scores_BHTS), dropout)
        return (weights_BHTS @ value).transpose(1, 2).contiguous(), None


def _masked(scores_BHTS: Tensor, mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        # Not minus infinity: a row of padding attends to nothing, and its softmax must be a number.
        return scores_BHTS.masked_fill(~mask, torch.finfo(scores_BHTS.dtype).min)
    return scores_BHTS + mask.to(scores_BHTS.dtype)


def _softmax(scores_BHTS: Tensor) -> Tensor:
    """Return the softmax over keys; where they fill no vectors of bfloat16, in float32 and in whole vectors.

    PyTorch computes what is left over of a vector number by number: a softmax over 24 keys and its gradient
    take 5 times as long in bfloat16 as in float32, and in float32 one over 15 keys takes 13 times as long as
    one over 16.
    """
    keys = scores_BHTS.shape[-1]
    if keys % _LANES == 0:
        return scores_BHTS.softmax(dim=-1)
    padding = -keys % (_LANES // 2)
    scores = torch.nn.functional.pad(scores_BHTS.float(), (0, padding), value=float("-inf"))
    return scores.softmax(dim=-1)[..., :keys].to(scores_BHTS.dtype)


def use_matmul_attention(backbone: PreTrainedModel) -> None:
    """Let a backbone that uses ``sdpa`` attend by matrix products in bfloat16; leave any other as it is."""
    if backbone.config._attn_implementation == "sdpa":
        backbone.set_attn_implementation(NAME)


AttentionInterface.register(NAME, matmul_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
