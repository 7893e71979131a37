from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.objectives import CausalLM, MaskedLM, RawBatch, Step
from agents.text.collate import Collator
from agents.text.masking import IGNORED
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from agents.training.blueprint import Arm
from agents.views import Setting

CLS, SEP, MASK = 2, 3, 4
WORDS = Text.of(np.arange(60, 72, dtype=np.int32))


@pytest.fixture
def draft_of(tokenizer):
    def make(texts, max_length=32, seed=0, own=tokenizer):
        collate = Collator(own, max_length)
        setting = Setting(collate.budget, Vocabulary(own))
        return RawBatch(texts, collate, setting, np.random.default_rng(seed))

    return make


@pytest.fixture(scope="module")
def bare(tokenizer):
    """A tokenizer that frames no text, with and without an end-of-text token."""

    def make(**special):
        backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
        return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", **special)

    return make


def test_masks_are_drawn_anew_every_time(draft_of):
    drawn = [MaskedLM().prepare(draft_of([WORDS] * 4, seed=seed))["labels"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0][0], drawn[0][1])


def test_what_is_not_masked_is_the_text_in_its_frame(draft_of):
    prepared = MaskedLM(rate=0.5).prepare(draft_of([WORDS, WORDS.span(0, 3)]))
    ids, labels = prepared["masked"].input_ids, prepared["labels"]
    true = np.where(labels == IGNORED, ids, labels)
    np.testing.assert_array_equal(true[0], [CLS, *WORDS.tokens, SEP])
    np.testing.assert_array_equal(true[1], [CLS, 60, 61, 62, SEP, *[0] * 9])
    assert (ids == MASK).any()


def test_long_document_is_read_in_spans_of_the_whole_budget(draft_of):
    starts = set()
    for seed in range(40):
        prepared = CausalLM().prepare(draft_of([WORDS], max_length=10, seed=seed))
        inner = prepared["texts"].input_ids[0, 1:-1]
        np.testing.assert_array_equal(np.diff(inner), 1)
        assert len(inner) == 8
        starts.add(int(inner[0]))
    assert starts == set(range(60, 65))


def test_end_of_text_is_guessed_where_the_document_ends_and_nowhere_else(draft_of):
    for seed in range(20):
        prepared = CausalLM().prepare(draft_of([WORDS], max_length=10, seed=seed))
        ids, labels = prepared["texts"].input_ids[0], prepared["labels"][0]
        np.testing.assert_array_equal(labels[:8], ids[1:9])
        assert labels[8] == (SEP if ids[8] == 71 else IGNORED)
        assert labels[9] == IGNORED


@pytest.mark.parametrize(("special", "end"), [({"eos_token": "[SEP]"}, SEP), ({}, IGNORED)])
def test_tokenizer_that_frames_no_text_ends_it_with_its_own_token_or_not_at_all(
    draft_of, bare, special, end
):
    own = bare(pad_token="[PAD]", **special)
    prepared = CausalLM().prepare(draft_of([WORDS.span(0, 3), WORDS.span(5, 6)], own=own))
    n = IGNORED
    np.testing.assert_array_equal(prepared["texts"].input_ids, [[60, 61, 62], [65, 0, 0]])
    np.testing.assert_array_equal(prepared["labels"], [[61, 62, end], [end, n, n]])


def test_hidden_tokens_neither_guess_nor_are_guessed(draft_of):
    hidden = np.zeros(12, dtype=bool)
    hidden[[4, 11]] = True
    raw = draft_of([WORDS.with_hidden(hidden)])
    labels = CausalLM().prepare(raw)["labels"][0]
    # Token 4 is at place 5 behind [CLS]; neither it nor what comes next can be guessed from it.
    np.testing.assert_array_equal(labels[[4, 5, 11, 12]], [IGNORED] * 4)
    assert (labels[[0, 1, 2, 3, 6, 7, 8, 9, 10]] != IGNORED).all()
    masked = MaskedLM(rate=0.99).prepare(raw)["labels"][0]
    assert masked[5] == masked[12] == IGNORED


@pytest.mark.parametrize(
    ("objective", "preset"), [(MaskedLM(), "nano"), (CausalLM(), "nano-decoder")]
)
def test_training_guesses_better_and_reports_it(make_host, objective, preset):
    encoder = EncoderConfig(preset=preset, dropout=0.0)
    training = {"local_steps": 10, "learning_rate": 3e-3, "max_length": 32}
    host = make_host(1, encoders=(encoder,), objectives=(objective,), training=training)
    host.begin(Arm(Isolated(), 0.25))
    first, *_, last = (host.agents[0].train(host.arm, round) for round in range(1, 5))
    assert last["loss"] < first["loss"] - 0.5
    (perplexity,) = (name for name in first if name.endswith("perplexity"))
    (accuracy,) = (name for name in first if name.endswith("accuracy"))
    assert last[perplexity] < first[perplexity] < 200  # about as many as there are tokens
    assert last[accuracy] > first[accuracy] >= 0


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rate_without_a_token_to_guess_or_to_see_is_refused(rate):
    with pytest.raises(ValidationError):
        MaskedLM(rate=rate)


@pytest.mark.parametrize("micro_batch_tokens", [None, 8])
def test_batch_with_nothing_to_guess_has_no_loss_and_a_gradient_of_zero(
    make_host, micro_batch_tokens
):
    host = make_host(1, objectives=(MaskedLM(),))
    host.begin(Arm(Isolated(), 0.0))
    agent = host.agents[0]
    unknown = [Text.of(np.array([1, 1, 1])), Text.of(np.array([1]))]
    raw = RawBatch(unknown, agent.resident.collate, agent.setting, np.random.default_rng(0))
    inputs = agent.resident.to_device(MaskedLM().prepare(raw))
    encoder = agent.encoder.train()
    rng = np.random.default_rng(0)
    result = MaskedLM().loss(Step(encoder, inputs, rng, micro_batch_tokens=micro_batch_tokens))
    agent.resident.binding.gradient.zero_()
    result.loss.backward()
    assert result.loss == 0
    assert (agent.resident.binding.gradient == 0).all()
    assert int(result.metrics["masked_token_accuracy"].count) == 0
