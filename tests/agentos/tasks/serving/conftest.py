"""A small society in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentos import Task, solve


@pytest.fixture(scope="session")
def solved(tokenizer: Any, corpus_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a society of two agents of random weights, of which both answer everything."""
    import torch
    from transformers import BertConfig, BertModel

    models = []
    for number in range(2):
        folder = tmp_path_factory.mktemp("served") / f"m{number}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            config = BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
                max_position_embeddings=24,
            )
            BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        models.append(str(folder))
    source = {"kind": "jsonl", "path": str(corpus_file), "label": "label"}
    task = {"kind": "classify", "source": source, "shots": 12, "max_length": 16}
    given = {"name": "towns", "library": {"models": models}, "task": task, "topology": "complete"}
    return solve(Task.model_validate(given), tmp_path_factory.mktemp("served") / "out").directory
