"""Next tokens of a decoder against its language-model head, its evaluation, and PyTorch's count of FLOPs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from agentos.evaluation.loaded_encoder import LoadedEncoder
from agents.answering.writing.continuation import Continuation, write
from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.generation import Decoding, generate
from agents.models.next_token import NextToken, vocabulary_digest
from agents.objectives import CausalLM
from agents.training.blueprint import Arm
from protocols.errors import ModelError

ORIGIN = "ab" * 16
TEXTS = ["wave tide", "stone wave shore tide wave stone", "tide " * 40, "", "wave"]


@pytest.fixture(scope="module")
def folder(make_host, tmp_path_factory):
    encoder = EncoderConfig(preset="nano-decoder", dropout=0.0)
    training = {"local_steps": 5, "learning_rate": 3e-3, "max_length": 32}
    host = make_host(1, encoders=(encoder,), objectives=(CausalLM(),), training=training)
    host.begin(Arm(Isolated(), 0.25))
    host.train(1)
    path = tmp_path_factory.mktemp("decoder")
    host.save({0: path})
    return path


@pytest.fixture
def decoder(folder):
    return NextToken.load(folder, ORIGIN)


def test_text_scores_are_those_of_the_evaluation(decoder, folder):
    scores = LoadedEncoder.load(str(folder), max_length=32).token_scores(TEXTS, seed=0)
    for text, nll, count in zip(TEXTS, scores.nll, scores.count, strict=True):
        if text:  # the evaluation leaves a text without tokens out
            found = decoder.token_log_probabilities(decoder.framed(text, 32))
            assert -found.sum() == pytest.approx(nll, rel=1e-5)
            assert len(found) == count


def test_rows_read_step_by_step_are_those_of_the_whole_text(decoder):
    ids = decoder.framed(TEXTS[1], 32)
    whole = decoder.token_log_probabilities(ids)
    rows = [decoder.begin(ids[:1]), *(decoder.advance(int(token)) for token in ids[1:-1])]
    stepped = [np.log(row[token]) for row, token in zip(rows, ids[1:], strict=True)]
    assert stepped == pytest.approx(whole, abs=1e-5)
    assert all(row.sum() == pytest.approx(1.0) for row in rows)


def test_a_new_beginning_forgets_the_text_before(decoder):
    first = decoder.begin(decoder.framed("wave", 32, ends=False))
    decoder.advance(7)
    assert np.array_equal(decoder.begin(decoder.framed("wave", 32, ends=False)), first)


def test_flops_agree_with_the_count_of_pytorch(decoder):
    ids = decoder.framed("wave tide stone " * 8, 32)
    with FlopCounterMode(display=False) as counter:
        decoder.token_log_probabilities(ids)
    # PyTorch does not count fused attention: two products with each token before, in 2 layers of width 64.
    count = len(ids) - 1
    attention = 2 * 2 * 2 * 64 * sum(range(1, count + 1))
    assert decoder.flops == counter.get_total_flops() + attention


def test_steps_cost_what_the_whole_text_costs(decoder):
    ids = decoder.framed("wave tide stone " * 8, 32)
    decoder.token_log_probabilities(ids)
    whole, decoder.flops = decoder.flops, 0.0
    decoder.begin(ids[:4])
    for token in ids[4:-1]:
        decoder.advance(int(token))
    assert decoder.flops == pytest.approx(whole)


def test_vocabulary_digest_tells_tokenizers_apart(decoder, tokenizer):
    assert decoder.vocabulary == vocabulary_digest(tokenizer)
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["neverseen"])
    assert decoder.vocabulary != vocabulary_digest(other)


def test_a_decoder_alone_writes_what_transformers_generates(decoder, folder, tokenizer):
    prompt = decoder.framed("wave tide", 32, ends=False)
    added = write([decoder], prompt, Continuation(temperature=0.0, max_new_tokens=12))
    text = tokenizer.decode([*prompt, *added], skip_special_tokens=True)
    assert generate(folder, "wave tide", Decoding(max_new_tokens=12)) == [text]


def test_encoder_that_reads_both_ways_is_refused(make_host, tmp_path):
    host = make_host(1)
    host.begin(Arm(Isolated(), 0.25))
    host.save({0: tmp_path})
    with pytest.raises(ModelError, match="both sides"):
        NextToken.load(tmp_path, ORIGIN)
