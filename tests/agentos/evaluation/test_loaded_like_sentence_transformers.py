"""Folders of sentence-transformers: the embeddings of its `encode`, or a refusal that names why."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    T5Model,
    XLNetConfig,
    XLNetModel,
)

from agentos.evaluation.loaded_encoder import LoadedEncoder
from protocols.errors import ModelError

library = pytest.importorskip("sentence_transformers")
modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["tea", "Tea", "sea", "key", "and", "passage"]
TEXTS = ["Tea and sea", "key and sea and key", "Tea", " ".join(["tea", "sea", "key"] * 40), ""]


def save_tokenizer(folder, framed=True, special=SPECIAL, **fields):
    names = [*special, *WORDS]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, unk_token=special[1]))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if framed:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        fields |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    own = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=special[0], unk_token=special[1], **fields
    )
    own.save_pretrained(folder)


@pytest.fixture
def bert(tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "bert"
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=11, intermediate_size=32, max_position_embeddings=128, **size)
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def build(path, pooling="mean", *more, max_length=None, **fields):
    folder = path.parent / "saved"
    first = modules.Transformer(str(path), max_seq_length=max_length)
    parts = [first, modules.Pooling(16, pooling_mode=pooling), *more]
    library.SentenceTransformer(modules=parts, device="cpu", **fields).save(str(folder))
    return folder


def change(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def assert_alike(folder, texts=TEXTS):
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    found = LoadedEncoder.load(str(folder)).embed(texts)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
@pytest.mark.parametrize("length", [None, 8, 100])
def test_pooling_and_length(bert, pooling, length):
    folder = build(bert, pooling, max_length=length)
    assert LoadedEncoder.load(str(folder)).max_length == (length or 128)
    assert_alike(folder)


def test_normalised(bert):
    folder = build(bert, "mean", modules.Normalize())
    assert_alike(folder)
    rows = LoadedEncoder.load(str(folder)).embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)


def test_lower_case(bert):
    folder = build(bert)
    upper = LoadedEncoder.load(str(folder)).embed(["Tea", "tea"])
    assert not np.allclose(upper[0], upper[1])
    change(folder, "sentence_bert_config.json", do_lower_case=True)
    lower = LoadedEncoder.load(str(folder)).embed(["Tea", "tea"])
    np.testing.assert_array_equal(lower[0], lower[1])
    assert_alike(folder)


def test_pooling_in_a_folder_of_another_name(bert):
    folder = build(bert, "cls")
    (folder / "1_Pooling").rename(folder / "pooling")
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = "pooling"
    (folder / "modules.json").write_text(json.dumps(listed))
    assert LoadedEncoder.load(str(folder)).encoder.pooling == "cls"
    assert_alike(folder)


def test_settings_named_after_an_architecture_as_early_releases_did(bert):
    folder = build(bert)
    (folder / "sentence_bert_config.json").unlink()
    (folder / "sentence_roberta_config.json").write_text(json.dumps({"max_seq_length": 9}))
    assert LoadedEncoder.load(str(folder)).max_length == 9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_alike(folder)


def test_prompts_that_are_not_the_default_change_nothing(bert):
    assert_alike(build(bert, prompts={"query": "tea sea "}))


def rewrite_modules(folder, index, **values):
    listed = json.loads((folder / "modules.json").read_text())
    listed[index].update(values)
    (folder / "modules.json").write_text(json.dumps(listed))


def outside(folder):
    rewrite_modules(folder, 1, path="../1_Pooling")


def of_a_stranger(folder):
    rewrite_modules(folder, 0, type="my_module.Transformer")


def in_a_folder(folder):
    rewrite_modules(folder, 0, path="0_Transformer")


def without_pooling(folder):
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(listed[:1]))


def with_arguments(folder):
    change(folder, "sentence_bert_config.json", model_args={"attn_implementation": "eager"})


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (outside, "Pooling"),
        (of_a_stranger, "my_module"),
        (in_a_folder, "0_Transformer"),
        (without_pooling, "Pooling"),
        (with_arguments, "model_args"),
    ],
)
def test_modules_that_cannot_be_followed_are_refused(bert, spoil, named):
    folder = build(bert)
    spoil(folder)
    with pytest.raises(ModelError, match=named) as caught:
        LoadedEncoder.load(str(folder))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("named", "more", "fields"),
    [
        ("Dense", lambda: [modules.Dense(16, 16)], {}),
        ("LayerNorm", lambda: [modules.LayerNorm(16)], {}),
        ("prompt", list, {"prompts": {"p": "tea "}, "default_prompt_name": "p"}),
        ("truncate_dim", list, {"truncate_dim": 8}),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(bert, named, more, fields):
    folder = build(bert, "mean", *more(), **fields)
    with pytest.raises(ModelError, match=named) as caught:
        LoadedEncoder.load(str(folder))
    assert caught.value.hint


@pytest.mark.parametrize("pooling", ["max", ("cls", "mean")])
def test_other_poolings_are_refused(bert, pooling):
    folder = build(bert, pooling)
    with pytest.raises(ModelError, match="pooling"):
        LoadedEncoder.load(str(folder))


@pytest.mark.parametrize("whole", [True, False])
def test_encoder_of_t5_alone_is_loaded(tmp_path, whole):
    torch.manual_seed(0)
    folder = tmp_path / "t5"
    size = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    model = (T5Model if whole else T5EncoderModel)(T5Config(vocab_size=11, **size))
    model.save_pretrained(folder)
    save_tokenizer(folder)
    if whole:
        with pytest.raises(ModelError, match="encoder-decoder"):
            LoadedEncoder.load(str(folder))
        return
    assert_alike(build(folder))


def test_xlnet_has_no_limit_of_positions(tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "xlnet"
    XLNetModel(
        XLNetConfig(vocab_size=11, d_model=16, n_layer=1, n_head=2, d_inner=32, pad_token_id=0)
    ).save_pretrained(folder)
    save_tokenizer(folder)
    assert LoadedEncoder.load(str(folder), max_length=4096).max_length == 4096
    assert_alike(build(folder))


def test_length_beyond_the_positions_is_refused_where_it_is_asked_for(bert):
    with pytest.raises(ModelError, match="longer than the encoder can read"):
        LoadedEncoder.load(str(bert), max_length=129)


@pytest.mark.parametrize("pooling", ["mean", "lasttoken"])
def test_empty_text_of_a_decoder_without_special_tokens(tmp_path, pooling):
    torch.manual_seed(0)
    folder = tmp_path / "gpt2"
    config = GPT2Config(
        vocab_size=11,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=128,
        bos_token_id=None,
        eos_token_id=None,
    )
    GPT2Model(config).save_pretrained(folder)
    save_tokenizer(folder, framed=False)
    encoder = LoadedEncoder.load(str(build(folder, pooling)))
    alone, among = encoder.embed([""]), encoder.embed(["tea sea", ""])
    assert np.isfinite(alone).all()
    np.testing.assert_allclose(alone[0], among[1], rtol=1e-4, atol=1e-6)
    assert encoder.embed([]).shape == (0, 16)
    assert_alike(folder.parent / "saved", ["tea sea", "key"])
