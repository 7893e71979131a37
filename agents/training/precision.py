"""Choice of the precision that pays on a machine: a rule, not a measurement, so that runs repeat exactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from agents.models.cpu.bfloat16 import has_bfloat16_units
from agents.models.encoder import Encoder

LEAST_WORK = {"cpu": 5e7, "cuda": 5e9}
"""Weights times tokens of a step from which bfloat16 pays.

On a CPU with AVX512_BF16 a step of 5e7 is 1.4 times as fast in bfloat16, and one of a tenth of that is
slower: the conversions take longer than the products. The bound for GPUs, where small steps are bound by
launches, is an estimate.
"""


class StepSize(NamedTuple):
    """Size of a training step: weights of the backbone outside its embeddings, and tokens of a batch."""

    weights: int
    tokens: int

    @classmethod
    def of(cls, encoder: Encoder, tokens: int) -> StepSize:
        """Return the size of a step of an encoder on a number of tokens."""
        modules = encoder.backbone.modules()
        embedded = {p for m in modules if isinstance(m, nn.Embedding) for p in m.parameters()}
        weights = sum(p.numel() for p in encoder.backbone.parameters() if p not in embedded)
        return cls(weights, tokens)


def pays_in_bfloat16(steps: Iterable[StepSize], device: torch.device) -> bool:
    """Return whether the largest of these steps is faster in bfloat16 on a device."""
    least = LEAST_WORK.get(device.type, float("inf"))
    return has_bfloat16_units(device) and max(s.weights * s.tokens for s in steps) >= least
