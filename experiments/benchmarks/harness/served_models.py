"""Societies to serve: models of random weights, as fast as trained ones, and texts of random words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentos.tasks.config import Task
from agentos.tasks.solving.run_task import solve
from agents.lazy_torch import torch
from experiments.benchmarks.harness.random_texts import WORDS

SIZES = {"tiny": (2, 128, 2), "minilm": (6, 384, 12)}
"""Layers, width and attention heads of a BERT."""
_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def write_models(folder: Path, size: str, count: int) -> list[Path]:
    """Write BERTs of one size, each of other random weights; return their folders."""
    from transformers import BertConfig, BertModel

    layers, width, heads = SIZES[size]
    tokenizer = _tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=64,
    )
    paths = []
    for number in range(count):
        path = folder / f"{size}-{number}"
        torch.manual_seed(number)
        BertModel(config).save_pretrained(path)
        tokenizer.save_pretrained(path)
        paths.append(path)
    return paths


def solved(folder: Path, models: list[Path], rows: list[tuple[str, str]], shots: int = 8) -> Path:
    """Let models solve a task in which all of them answer each text; return its folder."""
    corpus = folder / "corpus.jsonl"
    lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
    corpus.write_text("\n".join(lines), encoding="utf-8")
    source = {"kind": "jsonl", "path": str(corpus), "label": "label"}
    values = {
        "name": f"agents-{len(models)}",
        "library": {"models": [str(path) for path in models]},
        "task": {"kind": "classify", "source": source, "shots": shots, "max_length": 32},
        "topology": "auto" if len(models) == 1 else "master_slave",
    }
    out = folder / f"agents-{len(models)}"
    solve(Task.model_validate(values), out)
    return out


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*_SPECIAL.values(), *WORDS])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **_SPECIAL)
