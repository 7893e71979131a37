"""Encoders from a folder: embeddings and token scores against transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
)

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.models.sentence_transformer import write_sentence_transformer
from agents.text.masking import choose_tokens
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from protocols.errors import ModelError
from protocols.seeding import generator

TEXTS = ["wave tide ship harbour", "field", "moon wind comet orbit planet dawn light rain kite"]
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


def save(folder, tokenizer, model_class):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if model_class is GPT2LMHeadModel:
            config = GPT2Config(
                vocab_size=len(tokenizer), n_positions=34, n_embd=32, n_layer=1, n_head=2
            )
        else:
            config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **BERT)
        model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("model_class", [BertModel, BertForMaskedLM, GPT2LMHeadModel])
def test_embeddings_equal_those_of_transformers(tmp_path, tokenizer, model_class):
    folder = save(tmp_path / "model", tokenizer, model_class)
    encoder = LoadedEncoder.load(str(folder), max_length=8)
    model = AutoModel.from_pretrained(folder).eval()
    for row, text in zip(encoder.embed(TEXTS), TEXTS, strict=True):
        ids = tokenizer(text, truncation=True, max_length=8, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            states = model(input_ids=ids).last_hidden_state[0]
        np.testing.assert_allclose(row, states.mean(dim=0).numpy(), rtol=1e-4, atol=1e-5)


def test_pooling_and_length_are_those_of_the_folder_unless_others_are_asked_for(
    tmp_path, tokenizer
):
    folder = save(tmp_path / "model", tokenizer, BertModel)
    assert LoadedEncoder.load(str(folder)).max_length == 64
    write_sentence_transformer(folder, pooling="cls", width=32, max_length=12)
    saved = LoadedEncoder.load(str(folder))
    assert (saved.encoder.pooling, saved.max_length) == ("cls", 12)
    other = LoadedEncoder.load(str(folder), pooling="last", max_length=9)
    assert (other.encoder.pooling, other.max_length) == ("last", 9)


def test_causal_scores_equal_the_loss_of_transformers(tmp_path, tokenizer):
    folder = save(tmp_path / "model", tokenizer, GPT2LMHeadModel)
    scores = LoadedEncoder.load(str(folder), max_length=16).token_scores(TEXTS, seed=0)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert scores.kind == "causal"
    for i, text in enumerate(TEXTS):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            out = model(input_ids=ids, labels=ids)
        assert scores.count[i] == ids.shape[1] - 1
        assert scores.nll[i] == pytest.approx(float(out.loss) * scores.count[i], rel=1e-4)
        right = (out.logits[0, :-1].argmax(-1) == ids[0, 1:]).sum()
        assert scores.correct[i] == int(right)


def test_masked_scores_equal_the_loss_of_transformers_at_the_hidden_tokens(tmp_path, tokenizer):
    folder = save(tmp_path / "model", tokenizer, BertForMaskedLM)
    scores = LoadedEncoder.load(str(folder), max_length=16).token_scores(TEXTS, seed=4)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    assert scores.kind == "masked"
    for i, text in enumerate(TEXTS):
        ids = tokenizer(text, return_tensors="pt")["input_ids"][0]
        words = len(ids) - 2
        rng = generator(4, "token scores", text)
        plain = Text.of(ids[1:-1].numpy())
        flags = choose_tokens(plain, Vocabulary(tokenizer), 0.15, whole_words=False, rng=rng)
        hidden = (1 + np.flatnonzero(flags)).tolist()
        assert 1 <= len(hidden) < max(2, words)
        labels, inputs = torch.full_like(ids, -100), ids.clone()
        labels[hidden] = ids[hidden]
        inputs[hidden] = tokenizer.mask_token_id
        with torch.no_grad():
            loss = model(input_ids=inputs[None], labels=labels[None]).loss
        assert scores.count[i] == len(hidden)
        assert scores.nll[i] == pytest.approx(float(loss) * len(hidden), rel=1e-4)


def test_the_same_tokens_are_hidden_whatever_else_is_scored(tmp_path, tokenizer):
    encoder = LoadedEncoder.load(
        str(save(tmp_path / "m", tokenizer, BertForMaskedLM)), max_length=16
    )
    together = encoder.token_scores(TEXTS, seed=1).nll
    assert encoder.token_scores(TEXTS[2:], seed=1).nll[0] == pytest.approx(together[2], rel=1e-5)
    assert encoder.token_scores(TEXTS, seed=2).nll[2] != pytest.approx(together[2], rel=1e-3)


def test_an_encoder_alone_has_no_token_scores(tmp_path, tokenizer):
    encoder = LoadedEncoder.load(str(save(tmp_path / "model", tokenizer, BertModel)))
    assert encoder.token_scores(TEXTS, seed=0) is None


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError) as caught:
        LoadedEncoder.load(str(tmp_path))
    assert caught.value.hint
