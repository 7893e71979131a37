"""Denoising and the autoencoder: against sentence-transformers, and against loops in float64."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.build import build_encoder
from agents.models.heads.text_decoder import TextDecoder
from agents.objectives import VAE, Denoising, InfoNCE, NextSentence, RawBatch, SentenceOrder, Step
from agents.objectives.reconstruction import target
from agents.text.batch import Batch
from agents.text.tokens import Text
from agents.training.blueprint import Arm

PLAIN = Denoising(noise=("dropout",))
"""Corrupts nothing: documents that are short enough stay whole."""


def agent_of(make_host, *objectives, preset="nano", **training):
    encoder = EncoderConfig(preset=preset, dropout=0.0)
    host = make_host(1, encoders=(encoder,), objectives=objectives, training=training)
    host.begin(Arm(Isolated(), 0.0))
    return host.agents[0]


@pytest.fixture(scope="module")
def agent(make_host):
    return agent_of(make_host, Denoising(), VAE(latent=5))


@pytest.fixture(scope="module")
def texts(documents):
    return [Text.of(documents[row][:length]) for row, length in enumerate((3, 8, 1, 6))]


def step_of(agent, objective, texts, seed=0, **fields):
    rng = np.random.default_rng(seed)
    raw = RawBatch(texts, agent.resident.collate, agent.setting, rng)
    inputs = agent.resident.to_device(objective.prepare(raw))
    return Step(agent.encoder.eval(), inputs, rng, state=objective.state_type(), **fields)


def slow_scores(decoder, text, condition):
    """Return nats and hits of one text: each token from a forward pass over those before it alone."""
    nats, hits = 0.0, 0
    for place in range(1, len(text)):
        logits = decoder.model(
            input_ids=text[None, :place], encoder_hidden_states=condition[None, None]
        ).logits[0, -1]
        scores = logits.tolist()
        nats += math.log(sum(math.exp(s) for s in scores)) - scores[text[place]]
        hits += int(max(scores) == scores[text[place]])
    return nats, hits


# --- the decoder ----------------------------------------------------------------------------------


def test_score_equals_the_loop_over_tokens_each_from_its_own_past(agent):
    torch.manual_seed(0)
    decoder = copy.deepcopy(agent.encoder.heads["denoising_decoder"]).double().eval()
    lengths, conditions = [5, 2, 7], torch.randn(3, 64, dtype=torch.float64)
    ids = torch.randint(5, 60, (3, 7))
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None]).long()
    actual = decoder.score(Batch(ids, mask, None, np.array(lengths)), conditions)
    for row, length in enumerate(lengths):
        nats, hits = slow_scores(decoder, ids[row, :length], conditions[row])
        np.testing.assert_allclose(actual[row].tolist(), [nats, hits, length - 1], rtol=1e-6)


def test_gradient_of_the_score_equals_central_differences(agent):
    torch.manual_seed(0)
    decoder = copy.deepcopy(agent.encoder.heads["denoising_decoder"]).double().eval()
    ids = torch.randint(5, 60, (2, 4))
    batch = Batch(ids, torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]), None, np.array([4, 2]))
    conditions = torch.randn(2, 64, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: decoder.score(batch, torch.cat([x, conditions[:, 3:].detach()], 1))[:, 0],
        conditions[:, :3].detach().requires_grad_(),
        rtol=1e-2,  # logits are rounded to float32 on their way
        atol=1e-3,
        eps=1e-2,
    )


def test_decoder_is_tied_to_the_words_of_the_encoder_and_trained_once(agent):
    encoder = agent.encoder
    words = encoder.backbone.get_input_embeddings().weight
    for name in ("denoising_decoder", "vae_decoder"):
        model = encoder.heads[name].model
        assert model.bert.embeddings.word_embeddings.weight is words
        assert model.cls.predictions.decoder.weight is words
    slots = [slot.name for slot in agent.resident.binding.layout.slots]
    assert not [name for name in slots if "heads" in name and "word_embeddings" in name]
    assert len(slots) == len(set(slots))


def test_decoder_has_words_of_its_own_where_the_encoder_has_narrower_ones():
    size = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    decoder = TextDecoder(AlbertModel(AlbertConfig(vocab_size=20, embedding_size=8, **size)), 1)
    assert decoder.model.bert.embeddings.word_embeddings.weight.shape == (20, 16)
    ids = torch.ones(1, 3, dtype=torch.int64)
    assert decoder.score(Batch(ids, ids, None, np.array([3])), torch.zeros(1, 16)).shape == (1, 3)


# --- denoising --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_denoising_equals_sentence_transformers_on_equal_weights(tmp_path, tokenizer, agent, texts):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder, size = (
        str(tmp_path),
        {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48},
    )
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(vocab_size=len(tokenizer), num_attention_heads=2, **size, **dropout)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model = SentenceTransformer(modules=[Transformer(folder), Pooling(32, "mean")], device="cpu")
    theirs = DenoisingAutoEncoderLoss(model, folder, tie_encoder_decoder=False)

    objective = Denoising(layers=2)
    ours = build_encoder(EncoderConfig(path=folder), tokenizer, 0, objectives=[objective])
    decoder = ours.heads["denoising_decoder"].model
    # Theirs is the encoder's architecture, whose inner layers are 48 wide and not 4 * 32.
    for layer in decoder.bert.encoder.layer:
        layer.intermediate.dense = torch.nn.Linear(32, 48)
        layer.output.dense = torch.nn.Linear(48, 32)
    decoder.load_state_dict(theirs.decoder.state_dict())

    raw = RawBatch(texts, agent.resident.collate, agent.setting, np.random.default_rng(0))
    inputs = agent.resident.to_device(objective.prepare(raw))
    result = objective.loss(Step(ours, inputs, np.random.default_rng(0)))
    features = [
        {"input_ids": inputs[name].input_ids, "attention_mask": inputs[name].attention_mask}
        for name in ("corrupted", "target")
    ]
    expected = theirs(features, labels=None)
    torch.testing.assert_close(result.loss, expected)
    result.loss.backward()
    expected.backward()
    same = dict(model.transformers_model.named_parameters())
    compared = [
        (parameter.grad, same[name].grad)
        for name, parameter in ours.backbone.named_parameters()
        if "layer" in name
    ]
    assert len(compared) == 32
    for own, other in compared:
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-7)


def test_denoising_loss_equals_the_loop_over_documents(agent, texts):
    step = step_of(agent, PLAIN, texts)
    result = PLAIN.loss(step)
    nats, hits, tokens = 0.0, 0, 0
    for row, text in enumerate(texts):
        ids = step.inputs["target"].input_ids[row, : len(text) + 2]
        assert ids.tolist() == [2, *text.tokens.tolist(), 3]
        pooled = agent.encoder(ids[None], torch.ones_like(ids)[None])[0]
        own_nats, own_hits = slow_scores(agent.encoder.heads["denoising_decoder"], ids, pooled)
        nats, hits, tokens = nats + own_nats, hits + own_hits, tokens + len(text) + 1
    assert result.loss.item() == pytest.approx(nats / tokens, rel=1e-5)
    metrics = result.metrics
    assert metrics["denoising_perplexity"].exponential
    assert float(metrics["denoising_perplexity"].total) == pytest.approx(nats, rel=1e-5)
    accuracy = metrics["denoising_accuracy"]
    assert (int(accuracy.total), int(accuracy.count)) == (hits, tokens)
    assert result.token_counts.tolist() == [len(text) + 2 for text in texts]


def test_by_default_each_word_goes_with_probability_three_fifths(agent, documents):
    text = Text.of(np.concatenate(documents[:8])[:10])
    kept = []
    for seed in range(300):
        step = step_of(agent, Denoising(), [text], seed)
        left = step.inputs["corrupted"].input_ids[0, 1:-1].tolist()
        assert left
        remaining = iter(text.tokens.tolist())
        assert all(token in remaining for token in left)  # in their order
        kept.append(len(left))
    assert np.mean(kept) == pytest.approx(4.0, abs=0.3)  # of ten; deviation of the mean 0.09


def test_of_a_long_document_a_random_part_is_corrupted_and_written(agent):
    text, starts = Text.of(np.arange(5, 45)), set()
    for seed in range(30):
        step = step_of(agent, PLAIN, [text], seed)
        part = step.inputs["target"].input_ids[0, 1:-1]
        assert len(part) == agent.setting.budget
        torch.testing.assert_close(part, step.inputs["corrupted"].input_ids[0, 1:-1])
        starts.add(int(part[0]))
    assert len(starts) > 10


def test_a_tokenizer_without_a_first_token_begins_with_its_padding(agent, texts):
    collate = copy.copy(agent.resident.collate)
    collate.prefix, collate.suffix, collate.budget = [], [], 6
    raw = RawBatch(texts, collate, agent.setting, np.random.default_rng(0))
    padded = target(raw, texts)
    assert padded.lengths.tolist() == [4, 6, 2, 6]
    for row, text in enumerate(texts):
        expected = [0, *text.tokens[:5].tolist()]
        assert padded.input_ids[row, : len(expected)].tolist() == expected


# --- the autoencoder ------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "weight"), [(0, 0.0), (50, 0.25), (900, 1.0)])
def test_vae_loss_equals_the_loop_over_documents(agent, texts, index, weight):
    objective = VAE(latent=5, free_nats=0.05)
    step = step_of(agent, objective, texts, index=index)
    result = objective.loss(step)
    heads, noise = agent.encoder.heads, step.inputs["noise"]
    nats, tokens, divergences, means = 0.0, 0, [], []
    for row, text in enumerate(texts):
        ids = step.inputs["texts"].input_ids[row, : len(text) + 2]
        pooled = agent.encoder(ids[None], torch.ones_like(ids)[None])[0]
        posterior = heads["vae_posterior"](pooled).tolist()
        mean, log_variance = posterior[:5], posterior[5:]
        code = [
            m + math.sqrt(math.exp(v)) * e
            for m, v, e in zip(mean, log_variance, noise[row].tolist(), strict=True)
        ]
        own, _ = slow_scores(heads["vae_decoder"], ids, heads["vae_latent"](torch.tensor(code)))
        nats, tokens = nats + own, tokens + len(text) + 1
        means.append(mean)
        divergences.append(
            [0.5 * (m * m + math.exp(v) - 1 - v) for m, v in zip(mean, log_variance, strict=True)]
        )
    charged = sum(max(0.05, np.mean(column)) for column in zip(*divergences, strict=True))
    expected = (nats + weight * len(texts) * charged) / tokens
    assert result.loss.item() == pytest.approx(expected, rel=1e-5)
    metrics = result.metrics
    kl = metrics["vae_kl"]
    assert float(kl.total) / kl.count == pytest.approx(np.sum(divergences) / 4, rel=1e-4)
    assert float(metrics["vae_reconstruction_perplexity"].total) == pytest.approx(nats, rel=1e-5)
    active = (np.var(means, axis=0) > 0.01).sum()
    assert int(metrics["vae_active_units"].total) == active
    assert float(metrics["vae_collapsed"].total) == (active == 0)


def test_vae_reports_a_posterior_that_says_nothing_of_the_text_as_collapsed(make_host, texts):
    objective = VAE(latent=3)
    agent = agent_of(make_host, objective)
    with torch.no_grad():
        agent.encoder.heads["vae_posterior"].weight.zero_()
        agent.encoder.heads["vae_posterior"].bias.zero_()
    metrics = objective.loss(step_of(agent, objective, texts)).metrics
    assert float(metrics["vae_collapsed"].total) == 1.0
    assert float(metrics["vae_active_units"].total) == 0.0
    assert float(metrics["vae_kl"].total) == 0.0


# --- both -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [Denoising(), VAE(latent=5)], ids=lambda o: o.kind)
def test_micro_batches_change_neither_loss_nor_gradient(agent, texts, objective):
    found = []
    for tokens in (None, 16):
        agent.resident.binding.gradient.zero_()
        step = step_of(agent, objective, texts, index=100, micro_batch_tokens=tokens)
        result = objective.loss(step)
        result.loss.backward()
        found.append((result.loss.detach(), agent.resident.binding.gradient.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_objectives_add_up_by_weight_and_resume_to_the_same_bits(make_host, precision):
    objectives = (
        Denoising(layers=2),
        InfoNCE(weight=0.5),
        VAE(latent=4, weight=0.25, anneal_steps=2),
        NextSentence(),
        SentenceOrder(weight=2.0),
    )
    encoder = EncoderConfig(preset="nano")
    host = make_host(
        1, encoders=(encoder,), objectives=objectives, training={"precision": precision}
    )
    arm = Arm(Isolated(), 0.25)
    host.begin(arm)
    agent = host.agents[0]
    metrics = agent.train(arm, 1)
    total = sum(o.weight * metrics[f"{o.kind}_loss"] for o in objectives)
    assert metrics["loss"] == pytest.approx(total, rel=1e-5)
    assert metrics["denoising_perplexity"] > 1
    kept = copy.deepcopy(agent.state)
    agent.train(arm, 2)
    expected = agent.state.parameters.clone()
    agent.state = kept
    agent.train(arm, 2)
    assert torch.equal(agent.state.parameters, expected)


@pytest.mark.parametrize("objective", [Denoising(), VAE(latent=5)], ids=lambda o: o.kind)
def test_training_lowers_the_loss_of_a_decoder_agent_too(make_host, objective):
    agent = agent_of(
        make_host, objective, preset="nano-decoder", local_steps=12, learning_rate=3e-3
    )
    arm = Arm(Isolated(), 0.0)
    losses = [agent.train(arm, round)["loss"] for round in (1, 2, 3)]
    assert losses[2] < losses[0] - 0.3
