"""Encoders that are built from scratch: sizes, seeds, heads and pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agents.config import PRESETS, EncoderConfig
from agents.lazy_models import width_of
from agents.models.build import build_backbone, build_encoder
from agents.models.cpu.byte_dropout import dropout_of
from agents.models.encoder import Encoder, pool


@pytest.mark.parametrize(
    ("preset", "layers", "width", "heads"),
    [("nano", 2, 64, 2), ("tiny", 2, 128, 2), ("small", 4, 256, 4)],
)
def test_preset_has_the_stated_size(preset, layers, width, heads):
    config = EncoderConfig(preset=preset)
    backbone = build_backbone(config, 100, 0, seed=0)
    assert width_of(config) == backbone.config.hidden_size == width
    assert backbone.config.num_hidden_layers == layers
    assert backbone.config.num_attention_heads == heads
    embeddings = (100 + 512 + 2) * width + 2 * width
    attention = 4 * (width * width + width) + 2 * width
    feed_forward = 8 * width * width + 5 * width + 2 * width
    pooler = width * width + width
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count == embeddings + layers * (attention + feed_forward) + pooler


def test_presets_in_the_table_can_all_be_named():
    assert {EncoderConfig(preset=name).preset for name in PRESETS} == set(PRESETS)


def test_encoder_is_tiny_where_nothing_is_said_and_one_origin_at_most():
    assert EncoderConfig().preset == "tiny"
    assert EncoderConfig(path="x").preset is None
    assert not EncoderConfig(path="x").from_scratch
    with pytest.raises(ValueError, match="not preset and path"):
        EncoderConfig(preset="nano", path="x")


def test_initial_weights_depend_on_the_seed_alone(tokenizer):
    def weights(seed):
        config = EncoderConfig(preset="nano", projection=8)
        encoder = build_encoder(config, tokenizer, seed, exchange_dimension=4, classes=3)
        return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()])

    before = torch.get_rng_state()
    first = weights(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.parametrize(
    ("dropout", "expected"), [(None, 26 / 256), (0.5, 0.5), (0.0, 0.0), (0.999, 255 / 256)]
)
def test_dropout_of_a_preset_is_a_tenth_or_as_configured(make_host, dropout, expected):
    host = make_host(1, encoders=(EncoderConfig(preset="nano", dropout=dropout),))
    assert dropout_of(host.residents[0].encoder) == expected


def test_heads_have_the_stated_widths_and_are_absent_where_not_asked_for():
    backbone = build_backbone(EncoderConfig(preset="nano"), 50, 0, seed=0)
    x = torch.zeros(2, 64)
    full = Encoder(backbone, projection=8, exchange_dimension=4, classes=3)
    assert full.projection(x).shape == (2, 8)
    assert full.exchange_head(x).shape == (2, 4)
    assert full.classifier(x).shape == (2, 3)
    bare = Encoder(backbone)
    for head in (bare.projection, bare.exchange_head, bare.classifier):
        assert isinstance(head, nn.Identity)


def test_pooler_is_frozen_since_pooling_bypasses_it():
    encoder = Encoder(build_backbone(EncoderConfig(preset="nano"), 50, 0, seed=0))
    frozen = [name for name, p in encoder.named_parameters() if not p.requires_grad]
    assert frozen == ["backbone.pooler.dense.weight", "backbone.pooler.dense.bias"]


# --- pooling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_pool_equals_the_loop_over_tokens_and_never_sees_padding(pooling):
    states = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    lengths = [6, 1, 3, 5]
    mask = torch.tensor([[1] * n + [0] * (6 - n) for n in lengths])
    for row, length in enumerate(lengths):
        states[row, length:] = float("inf") if pooling != "mean" else 1e6
    actual = pool(states, mask, pooling)
    for row, length in enumerate(lengths):
        tokens = [states[row, t].double().numpy() for t in range(length)]
        expected = {"mean": sum(tokens) / length, "cls": tokens[0], "last": tokens[-1]}[pooling]
        np.testing.assert_allclose(actual[row].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_encoder_gives_a_text_the_same_state_whatever_it_is_padded_to(pooling):
    config = EncoderConfig(preset="nano", pooling=pooling, dropout=0.0)
    encoder = Encoder(build_backbone(config, 50, 0, seed=0), pooling).eval()
    ids = torch.tensor([[2, 7, 9, 3]])
    alone = encoder(ids, torch.ones(1, 4, dtype=torch.int64))
    padded = torch.tensor([[2, 7, 9, 3, 0, 0, 0], [2, 7, 8, 9, 7, 7, 3]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1] * 7])
    torch.testing.assert_close(encoder(padded, mask)[:1], alone, rtol=1e-4, atol=1e-5)
