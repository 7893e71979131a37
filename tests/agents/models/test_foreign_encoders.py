"""Encoder folders from strangers: no code of theirs runs, and nothing in them takes all time or memory."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import pytest
from pydantic import ValidationError
from transformers import BertConfig, BertModel

from agents.config import EncoderConfig
from agents.models.build import build_backbone, load_encoder, meta_backbone
from agents.models.generation import Decoding, generate
from agents.models.pretrained import load_tokenizer
from agents.models.sentence_transformer import pooling_of
from agents.text.tokenizer_bounds import _repeats_repetition
from protocols.errors import ModelError


@pytest.fixture
def folder(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    path = tmp_path / "encoder"
    BertModel(BertConfig(vocab_size=len(tokenizer), intermediate_size=48, **size)).save_pretrained(
        path
    )
    tokenizer.save_pretrained(path)
    (path / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    )
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "code")
    )
    monkeypatch.setattr("sys.path", [*sys.path])
    return path


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def load(folder, **fields):
    config = EncoderConfig(path=str(folder), **fields)
    tokenizer = load_tokenizer(config)
    return load_encoder(config, tokenizer, pooling_of(config))


@pytest.mark.parametrize("kind", ["bert", "evil"])
def test_code_in_an_encoder_folder_never_runs_and_nobody_is_asked(folder, kind, tmp_path):
    classes = {"AutoConfig": "evil.C", "AutoModel": "evil.M", "AutoModelForMaskedLM": "evil.L"}
    change(folder / "config.json", auto_map=classes, model_type=kind)
    auto = {"AutoTokenizer": ["evil.T", "evil.T"]}
    change(folder / "tokenizer_config.json", auto_map=auto, tokenizer_class="T")
    config = EncoderConfig(path=str(folder))
    for act in (
        lambda: load(folder),
        lambda: meta_backbone(config, 64),
        lambda: build_backbone(config, 10, 0, 0),
        lambda: generate(folder, "wave", Decoding()),
    ):
        with suppress(ModelError):
            act()
    assert not (tmp_path / "ran").exists()


def test_trusted_code_runs(folder, tmp_path):
    change(folder / "config.json", auto_map={"AutoConfig": "evil.C"}, model_type="evil")
    with pytest.raises(ModelError, match="trust_remote_code=true"):
        load(folder)
    with pytest.raises(ModelError):  # the code holds no class
        load(folder, trust_remote_code=True)
    assert (tmp_path / "ran").exists()


def test_preset_has_no_code_to_trust():
    with pytest.raises(ValidationError, match="is for loaded models"):
        EncoderConfig(preset="nano", trust_remote_code=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_hidden_layers", 10**9),
        ("hidden_size", 10**9),
        ("hidden_size", -1),
        ("vocab_size", 10**12),
        ("num_attention_heads", 0),
        ("max_position_embeddings", 10**15),
        ("intermediate_size", 10**11),
        ("attn_implementation", "stranger/kernel"),
        ("hidden_act", "__import__('os').system('true')"),
    ],
)
def test_sizes_that_no_encoder_has_are_refused(folder, field, value):
    change(folder / "config.json", **{field: value})
    with pytest.raises(ModelError) as error:
        load(folder)
    assert error.value.hint


@pytest.mark.parametrize("file", ["config.json", "1_Pooling/config.json", "adapter_config.json"])
def test_settings_nested_without_end_are_refused(folder, file):
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("[" * 100_000)
    with pytest.raises(ModelError):
        load(folder)


@pytest.mark.parametrize(
    "step",
    [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
        {"type": "Replace", "pattern": {"Regex": "(a*)*$"}, "content": "a"},
    ],
)
def test_tokenizers_that_explode_are_refused(folder, step):
    steps = {"type": "Sequence", "normalizers": [step] * 40}
    change(folder / "tokenizer.json", normalizer=steps)
    with pytest.raises(ModelError, match="exponential"):
        load(folder)


@pytest.mark.parametrize(
    "expression",
    [
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
        r" {2,}",
        r"(?:\r?\n)+",
        r"[()*+]+\(\)*",
    ],
)
def test_expressions_in_use_are_taken(expression):
    assert not _repeats_repetition(expression)


@pytest.mark.parametrize("expression", ["(a*)*", "(?:a+b?)+$", "((a{2,}))*", "(x|(y+))+"])
def test_repeated_repetitions_are_found(expression):
    assert _repeats_repetition(expression)
