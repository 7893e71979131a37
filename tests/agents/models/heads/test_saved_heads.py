"""Heads saved with an encoder: contents of the file, and what is restored from it."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import load_file

from agents.config import EncoderConfig
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.models.build import build_encoder
from agents.objectives import (
    VAE,
    Denoising,
    NextSentence,
    ReplacedTokenDetection,
    SentenceOrder,
)
from agents.training.blueprint import Arm
from protocols.errors import ModelError

OBJECTIVES = (Denoising(), VAE(latent=6), NextSentence(), ReplacedTokenDetection())


@pytest.fixture(scope="module")
def saved(make_host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    encoder = EncoderConfig(preset="nano", projection=8)
    heads = Heads(exchange_dimension=4, classes=3)
    host = make_host(1, encoders=(encoder,), objectives=OBJECTIVES, heads=heads)
    host.begin(Arm(Isolated(), 0.0))
    host.agents[0].parameters.add_(0.01)
    host.agents[0].save(folder)
    return folder, {name: p.clone() for name, p in host.agents[0].encoder.named_parameters()}


def load(folder, tokenizer, *objectives, **fields):
    config = EncoderConfig(path=str(folder), **{"projection": 8, **fields})
    return build_encoder(
        config, tokenizer, 5, exchange_dimension=4, classes=3, objectives=objectives
    )


def test_saved_heads_hold_every_parameter_once_and_none_of_the_backbone(saved):
    folder, parameters = saved
    tensors = load_file(folder / "heads.safetensors")
    assert set(tensors) == {name for name in parameters if not name.startswith("backbone.")}
    for name, value in tensors.items():
        assert torch.equal(value, parameters[name])


def test_heads_of_the_same_objectives_go_on_and_those_of_exchanges_do_not(saved, tokenizer):
    folder, parameters = saved
    for name, value in load(folder, tokenizer, *OBJECTIVES).named_parameters():
        restored = not name.startswith(("exchange_head.", "classifier."))
        if value.requires_grad:
            assert torch.equal(value, parameters[name]) == restored, name


def test_restored_decoder_and_generator_stay_tied_to_the_encoder(saved, tokenizer):
    encoder = load(saved[0], tokenizer, Denoising(), ReplacedTokenDetection())
    words = encoder.backbone.get_input_embeddings().weight
    assert encoder.heads["denoising_decoder"].model.cls.predictions.decoder.weight is words
    assert encoder.heads["rtd_generator"].model.generator_lm_head.weight is words


def test_heads_that_do_not_fit_are_drawn_anew_and_the_log_says_so(saved, tokenizer, caplog):
    folder, parameters = saved
    with caplog.at_level(logging.WARNING):
        encoder = load(folder, tokenizer, VAE(latent=7), SentenceOrder(), NextSentence())
    text = caplog.text
    assert "another shape for heads.vae_posterior.weight" in text
    assert "lacks heads.sentence_order.weight" in text
    assert "next_sentence" not in text
    assert encoder.heads["vae_posterior"].weight.shape == (14, 64)
    kept = parameters["heads.next_sentence.weight"]
    assert torch.equal(encoder.heads["next_sentence"].weight, kept)


def test_damaged_heads_are_refused_with_the_way_out(saved, tokenizer, tmp_path):
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(saved[0], folder)
    (folder / "heads.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ModelError, match="cannot be read") as error:
        load(folder, tokenizer, NextSentence())
    assert error.value.hint
