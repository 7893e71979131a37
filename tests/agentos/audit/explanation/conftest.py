"""Encoders whose important words are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.models.heads.label_head import LabelHead

TEXT = "The quick brown fox jumps over the lazy dog, and runs into the forest."


@pytest.fixture(params=["bert", "gpt2"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path, tokenizer: Any) -> LoadedEncoder:
    """A random encoder of one layer with a classifier of two classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any
        if request.param == "gpt2":
            model = GPT2Model(
                GPT2Config(
                    vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=1, n_head=2
                )
            )
        else:
            model = BertModel(
                BertConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=32,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=48,
                )
            )
        head = LabelHead(32, 2)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LoadedEncoder.load(str(tmp_path))
    loaded.classifier = (head.eval(), ("cats", "dogs"))
    return loaded
