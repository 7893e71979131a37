"""Replaced-token detection: against loops over single texts, and what flows where."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from tokenizers import processors
from transformers import AlbertConfig, AlbertModel, PreTrainedTokenizerFast

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.heads.text_decoder import MaskedGenerator
from agents.objectives import RawBatch, ReplacedTokenDetection, Step
from agents.objectives.replaced_token_detection import draw_tokens
from agents.text.batch import Batch
from agents.text.collate import Collator
from agents.text.masking import IGNORED
from agents.text.tokens import Text
from agents.text.vocabulary import Vocabulary
from agents.training.blueprint import Arm
from agents.views import Setting
from protocols.errors import ModelError

OBJECTIVE = ReplacedTokenDetection(rate=0.4)
UNKNOWN = 1
GENERATOR, DISCRIMINATOR = "rtd_generator", "rtd_discriminator"


@pytest.fixture
def agent(make_agent):
    agent = make_agent(OBJECTIVE, projection=0)
    agent.encoder.eval()
    return agent


@pytest.fixture(scope="module")
def texts(documents):
    cut = [documents[row][:length] for row, length in enumerate((3, 8, 1, 6))]
    return [Text.of(np.append(tokens, UNKNOWN)) for tokens in cut]


def step_of(agent, texts, seed=0, objective=OBJECTIVE, **fields):
    rng = np.random.default_rng(seed)
    raw = RawBatch(texts, agent.resident.collate, agent.setting, rng)
    inputs = agent.resident.to_device(objective.prepare(raw))
    return Step(agent.encoder, inputs, rng, **fields)


def gradient_of(agent, texts, objective=OBJECTIVE, **fields):
    """Return the output of a step, and the gradients by name of parameter."""
    agent.resident.binding.gradient.zero_()
    result = objective.loss(step_of(agent, texts, objective=objective, **fields))
    result.loss.backward()
    named = agent.encoder.named_parameters()
    return result, {name: p.grad.clone() for name, p in named if p.grad is not None}


def prefer(agent, token):
    """Make the generator predict one token for every input."""
    with torch.no_grad():
        agent.encoder.heads[GENERATOR].model.generator_lm_head.bias[token] = 1e4


# --- the loss ---------------------------------------------------------------------------------------


def slow_draw(logits, uniform):
    """Return the first token up to which the probabilities exceed a uniform number."""
    weights = [math.exp(logit - max(logits)) for logit in logits]
    total = 0.0
    for token, weight in enumerate(weights):
        total += weight / sum(weights)
        if total > uniform:
            return token
    raise AssertionError("the probabilities do not sum to one")


def slow_text(encoder, ids, labels, draws, special):
    """Return the sums of one text, which passes both networks alone, and its pooled state."""
    nats = predicted = wrong = right = replaced = flagged = found = judged = 0.0
    ones, filled = torch.ones_like(ids)[None], ids.clone()
    logits = encoder.heads[GENERATOR].model(input_ids=ids[None], attention_mask=ones).logits[0]
    for place in np.flatnonzero(labels != IGNORED):
        scores, target = logits[place].tolist(), int(labels[place])
        nats += math.log(sum(math.exp(score) for score in scores)) - scores[target]
        predicted += int(np.argmax(scores)) == target
        filled[place] = slow_draw(scores, float(draws[place]))
    states = encoder.backbone(input_ids=filled[None], attention_mask=ones).last_hidden_state[0]
    for place, state in enumerate(states):
        original = int(labels[place]) if labels[place] != IGNORED else int(ids[place])
        if special[original]:
            continue
        probability = 1 / (1 + math.exp(-encoder.heads[DISCRIMINATOR](state).item()))
        is_replaced, says_so = int(filled[place]) != original, probability > 0.5
        wrong -= math.log(probability if is_replaced else 1 - probability)
        judged, right = judged + 1, right + (is_replaced == says_so)
        replaced, flagged = replaced + is_replaced, flagged + says_so
        found += is_replaced and says_so
    masked = int((labels != IGNORED).sum())
    sums = (nats, predicted, masked, wrong, right, judged, replaced, flagged, found)
    return np.array(sums, dtype=float), states.mean(dim=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_loss_metrics_and_views_equal_the_loop_over_texts(agent, texts, seed):
    torch.manual_seed(seed)
    with torch.no_grad():  # a head that judges some tokens replaced and some not
        agent.encoder.heads[DISCRIMINATOR][2].weight.normal_(std=3.0)
        agent.encoder.heads[GENERATOR].model.generator_lm_head.bias.normal_(std=2.0)
    step = step_of(agent, texts, seed)
    result = OBJECTIVE.loss(step)
    batch, special = step.inputs["masked"], agent.setting.vocabulary.special
    total = np.zeros(9)
    for row, length in enumerate(batch.lengths):
        arrays = (batch.input_ids, step.inputs["labels"], step.inputs["draws"])
        sums, state = slow_text(agent.encoder, *(array[row, :length] for array in arrays), special)
        total += sums
        torch.testing.assert_close(result.pooled[0][row], state, rtol=1e-4, atol=1e-5)
    nats, predicted, masked, wrong, right, judged, replaced, flagged, found = total
    assert result.loss.item() == pytest.approx(nats / masked + 50 * wrong / judged, rel=1e-4)
    expected = {
        "generator_accuracy": (predicted, masked),
        "generator_perplexity": (nats, masked),
        "discriminator_nats": (wrong, judged),
        "discriminator_accuracy": (right, judged),
        "replaced_share": (replaced, judged),
        "replaced_recall": (found, replaced),
        "replaced_precision": (found, flagged),
    }
    assert 0 < found < flagged
    for name, ratio in result.metrics.items():
        actual = (float(ratio.total), float(ratio.count))
        assert actual == pytest.approx(expected.pop(name), rel=1e-4), name
    assert not expected
    assert result.token_counts.tolist() == batch.lengths.tolist()
    assert result.decoder_tokens == batch.lengths.sum()


def test_tokens_are_drawn_in_proportion_to_their_probabilities():
    probabilities = torch.tensor([[0.1, 0.0, 0.6, 0.3], [0.0, 0.25, 0.25, 0.5]])
    grid = (torch.arange(1000) + 0.5) / 1000
    for row in probabilities:
        drawn = draw_tokens(row.log().expand(1000, 4), grid)
        assert torch.bincount(drawn, minlength=4).tolist() == (1000 * row).round().tolist()


def test_draws_at_the_ends_of_the_range_give_tokens_that_are_possible():
    logits = torch.full((65, 30_000), -math.inf)
    logits[:, 10:20_000] = torch.randn(65, 19_990, generator=torch.Generator().manual_seed(0))
    draws = torch.full((65,), float(np.nextafter(np.float32(1), np.float32(0))))
    draws[0] = 0.0
    drawn = draw_tokens(logits, draws)
    assert drawn[0] == 10
    # The rounded probabilities of a row may sum to less than the largest draw.
    assert ((drawn[1:] > 10) & (drawn[1:] < 20_000)).all()


def test_draw_equal_to_the_original_counts_as_original(agent):
    same = [Text.of(np.full(12, 60, dtype=np.int64))] * 3
    for token, share in ((60, 0.0), (61, 1.0)):
        agent.encoder.heads[GENERATOR].model.generator_lm_head.bias.detach().zero_()
        prefer(agent, token)
        metrics = OBJECTIVE.loss(step_of(agent, same)).metrics
        masked = float(metrics["generator_accuracy"].count)
        assert float(metrics["replaced_share"].total) == share * masked


def test_encoder_sees_no_mask_but_draws_in_their_place(agent, texts):
    seen = []
    prefer(agent, 61)
    handle = agent.encoder.backbone.register_forward_pre_hook(
        lambda _, args, named: seen.append(named["input_ids"]), with_kwargs=True
    )
    step = step_of(agent, texts)
    OBJECTIVE.loss(step)
    handle.remove()
    (filled,), labels = seen, step.inputs["labels"]
    assert (filled[labels != IGNORED] == 61).all()
    untouched = labels == IGNORED
    assert torch.equal(filled[untouched], step.inputs["masked"].input_ids[untouched])


# --- gradients --------------------------------------------------------------------------------------


def test_no_gradient_flows_from_the_discriminator_to_the_generator_or_back(agent, texts):
    double = OBJECTIVE.model_copy(update={"discriminator_weight": 100.0})
    once, twice = (gradient_of(agent, texts, objective)[1] for objective in (OBJECTIVE, double))
    shared = "backbone.embeddings.word_embeddings.weight"
    compared = set()
    for name, gradient in once.items():
        if name.startswith(f"heads.{GENERATOR}."):
            torch.testing.assert_close(twice[name], gradient, rtol=1e-5, atol=1e-8)
            compared.add("generator")
        elif name != shared:
            torch.testing.assert_close(twice[name], 2 * gradient, rtol=1e-4, atol=1e-6)
            compared.add("discriminator" if name.startswith("heads.") else "backbone")
        assert gradient.abs().sum() > 0 or "embeddings" in name or "key.bias" in name, name
    assert compared == {"generator", "discriminator", "backbone"}


@pytest.mark.parametrize("fields", [{"micro_batch_tokens": 16}, {"pass_tokens": 1}], ids=str)
def test_parts_change_neither_loss_nor_gradient(agent, texts, fields):
    before, gradients = gradient_of(agent, texts)
    after, divided = gradient_of(agent, texts, **fields)
    torch.testing.assert_close(after.loss, before.loss)
    torch.testing.assert_close(after.pooled, before.pooled, rtol=1e-4, atol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(divided[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("micro_batch_tokens", [None, 8])
def test_batch_with_nothing_to_judge_has_no_loss_and_a_gradient_of_zero(agent, micro_batch_tokens):
    unknown = [Text.of(np.full(length, UNKNOWN)) for length in (3, 1)]
    result, gradients = gradient_of(agent, unknown, micro_batch_tokens=micro_batch_tokens)
    assert result.loss == 0
    assert all((gradient == 0).all() for gradient in gradients.values())


# --- inputs -----------------------------------------------------------------------------------------


def test_special_and_hidden_tokens_and_padding_are_neither_masked_nor_judged(agent):
    hidden = np.array([False, False, True, False])
    long = Text.of(np.array([60, UNKNOWN, 61, 62])).with_hidden(hidden)
    for seed in range(20):
        inputs = step_of(agent, [long, Text.of(np.array([63]))], seed).inputs
        judged = [[0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
        assert inputs["judged"].int().tolist() == judged
        masked = inputs["labels"] != IGNORED
        assert not (masked & ~inputs["judged"]).any()
        assert masked.any(dim=1).all()
        mask_id = agent.setting.vocabulary.mask()
        assert torch.equal(inputs["masked"].input_ids == mask_id, masked)


def test_tokenizer_without_a_mask_token_is_refused(tokenizer):
    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    own = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", sep_token="[SEP]"
    )
    collate, rng = Collator(own, 32), np.random.default_rng(0)
    raw = RawBatch([Text.of(np.arange(60, 66))], collate, Setting(30, Vocabulary(own)), rng)
    with pytest.raises(ModelError, match="no mask token"):
        OBJECTIVE.prepare(raw)


# --- the generator ----------------------------------------------------------------------------------


def test_generator_is_tied_to_the_words_of_the_encoder_and_trained_once(agent):
    encoder, model = agent.encoder, agent.encoder.heads[GENERATOR].model
    words = encoder.backbone.get_input_embeddings().weight
    assert model.electra.embeddings.word_embeddings.weight is words
    assert model.generator_lm_head.weight is words
    layout = agent.resident.binding.layout
    slots = {slot.name for slot in layout.slots}
    own = {f"heads.{GENERATOR}.model.{name}" for name, _ in model.named_parameters()}
    tied = f"heads.{GENERATOR}.model.electra.embeddings.word_embeddings.weight"
    assert own - {tied} <= slots
    assert tied not in slots
    assert layout.parameter_count == sum(p.numel() for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("size", "layers", "width", "heads"), [(0.25, None, 16, 1), (1.0, 3, 64, 2), (0.01, 1, 1, 1)]
)
def test_generator_has_a_fraction_of_the_width(agent, size, layers, width, heads):
    config = MaskedGenerator(agent.encoder.backbone, size, layers).model.config
    assert (config.hidden_size, config.num_attention_heads) == (width, heads)
    assert config.intermediate_size == 4 * width
    assert config.num_hidden_layers == (layers or 2)


def test_generator_shares_words_that_are_narrower_than_the_states():
    size = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    backbone = AlbertModel(AlbertConfig(vocab_size=20, embedding_size=8, **size))
    generator = MaskedGenerator(backbone, 0.5, layers=1)
    assert generator.model.generator_lm_head.weight is backbone.get_input_embeddings().weight
    ids = torch.ones(1, 3, dtype=torch.int64)
    masked = torch.tensor([[False, True, True]])
    assert generator(Batch(ids, ids, None, np.array([3])), masked).shape == (2, 20)


# --- training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_resumes_to_the_same_bits(make_agent, precision):
    agent = make_agent(ReplacedTokenDetection(), dropout=0.1, precision=precision)
    arm = Arm(Isolated(), 0.25)
    assert math.isfinite(agent.train(arm, 1)["loss"])
    kept = copy.deepcopy(agent.state)
    agent.train(arm, 2)
    expected = agent.state.parameters.clone()
    agent.state = kept
    agent.train(arm, 2)
    assert torch.equal(agent.state.parameters, expected)


@pytest.mark.parametrize("preset", ["nano", "nano-decoder"])
def test_training_fits_generator_and_discriminator(make_host, preset):
    encoder = EncoderConfig(preset=preset, dropout=0.0)
    training = {"local_steps": 40, "learning_rate": 3e-3, "max_length": 32}
    host = make_host(1, encoders=(encoder,), objectives=(OBJECTIVE,), training=training)
    arm = Arm(Isolated(), 0.0)
    host.begin(arm)
    first, *_, last = (host.agents[0].train(arm, round) for round in range(1, 5))
    assert last["generator_perplexity"] < first["generator_perplexity"] / 2
    # Chance is the precision of flagging all tokens, or tokens at random.
    assert last["replaced_precision"] > 1.5 * last["replaced_share"]
    assert last["replaced_recall"] > 0.2
    assert last["decoder_tokens"] == last["tokens"] > 0
