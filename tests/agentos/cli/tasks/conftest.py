"""Small models for the commands about tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel


@pytest.fixture
def write_model(tokenizer) -> Callable[[Path, int], Path]:
    """Write a model of random weights into a folder."""

    def write(folder: Path, seed: int) -> Path:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = BertModel(
                BertConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=16,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=16,
                    max_position_embeddings=24,
                )
            )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return write
