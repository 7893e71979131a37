"""The estimate of floating-point operations, against PyTorch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from agentos.preflight.flops import Size, size_of
from agents.config import EncoderConfig, Preset
from agents.models.build import preset_config

TEXTS, LENGTH = 8, 32


@pytest.mark.parametrize("preset", ["nano", "tiny", "small", "tiny-decoder"])
def test_estimate_is_what_pytorch_counts(preset: Preset) -> None:
    config = EncoderConfig(preset=preset, dropout=0.0)
    # Eager: the counter does not know every fused kernel of attention.
    backbone = AutoModel.from_config(preset_config(config, 300, 0), attn_implementation="eager")
    ids = torch.randint(1, 300, (TEXTS, LENGTH))
    size, tokens = size_of(config), TEXTS * LENGTH
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        backbone(input_ids=ids)
    with FlopCounterMode(display=False) as both:
        backbone(input_ids=ids).last_hidden_state.sum().backward()
    # Biases, norms and BERT's pooler are a little of what one of the two counts and the other does not.
    assert size.flops(LENGTH, 0, tokens) == pytest.approx(forward.get_total_flops(), rel=0.02)
    assert size.flops(LENGTH, tokens) == pytest.approx(both.get_total_flops(), rel=0.02)


def test_parameters_are_those_of_the_blocks() -> None:
    # A block of width W: 4 W^2 + 4 W of attention, 8 W^2 + 5 W of the MLP, 4 W of two norms; and 2 W of the
    # norm after the embeddings.
    width = 128
    block = 12 * width**2 + 13 * width
    expected = Size(2 * block + 2 * width, layers=2, width=width)
    assert size_of(EncoderConfig(preset="tiny")) == expected


def test_gradient_costs_three_times_as_much() -> None:
    size = Size(parameters=100, layers=2, width=8)
    assert size.flops(16, trained=7) == 3 * size.flops(16, trained=0, embedded=7)
