from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.models.text_encoder import EmbeddingMap
from agents.training.blueprint import Arm

ALONE = Arm(Isolated(), anchor_fraction=0.25)
NOISY = EncoderConfig(preset="nano")


@pytest.fixture
def host(make_host):
    host = make_host(3, encoders=(NOISY,))
    host.begin(ALONE)
    return host


def test_agents_of_a_group_begin_alike_and_each_owns_its_parameters(host):
    first, second = host.agents[0], host.agents[1]
    assert torch.equal(first.parameters, second.parameters)
    assert first.layout == second.layout
    first.parameters.add_(1.0)
    assert not torch.equal(first.parameters, second.parameters)


def test_agents_begin_unalike_where_each_draws_its_own_weights(make_host):
    host = make_host(3, individual_initialisation=True)
    host.begin(ALONE)
    drawn = {agent.parameters.numpy().tobytes() for agent in host.agents.values()}
    assert len(drawn) == 3


def test_writing_to_the_parameters_changes_what_the_agent_says(host):
    before = host.agents[0].embed(["wave tide"])
    other = host.agents[1].embed(["wave tide"])
    host.agents[0].parameters.mul_(1.5)
    assert not np.allclose(host.agents[0].embed(["wave tide"]), before)
    np.testing.assert_array_equal(host.agents[1].embed(["wave tide"]), other)


def test_encoder_is_always_the_agent_that_was_asked(host):
    for id, agent in host.agents.items():
        agent.parameters.fill_(0.01 * (id + 1))
    for id in (0, 2, 1, 1, 0):
        encoder = host.agents[id].encoder
        trained = [p for p in encoder.parameters() if p.requires_grad]
        assert all((p == 0.01 * (id + 1)).all() for p in trained)


def test_embeddings_of_texts_come_in_their_order_and_do_not_depend_on_the_others(host, sentences):
    agent = host.agents[0]
    texts = list(sentences[:150])  # more than a batch, of all lengths
    together = agent.embed(texts)
    assert together.shape == (150, 64)
    assert together.dtype == np.float32
    for row in (0, 7, 149):
        np.testing.assert_allclose(
            agent.embed([texts[row]])[0], together[row], rtol=1e-4, atol=1e-6
        )
    np.testing.assert_allclose(agent.embed(texts[::-1]), together[::-1], rtol=1e-4, atol=1e-6)


def test_embedding_takes_no_dropout_draws_nothing_and_training_takes_it_again(host):
    agent = host.agents[0]
    np.testing.assert_array_equal(agent.embed(["wave tide"]), agent.embed(["wave tide"]))
    assert not agent.encoder.training
    agent.train(ALONE, 1)
    assert agent.encoder.training


def test_embedding_leaves_the_agent_as_it_was(host):
    agent = host.agents[0]
    before = agent.state.parameters.clone()
    agent.embed(["wave"])
    agent.embed_anchors(2, 1)
    assert torch.equal(agent.state.parameters, before)
    assert (agent.state.read, agent.state.anchors_read, agent.state.step) == (0, 0, 0)


def test_training_after_embedding_equals_training_without(host, make_host):
    host.train(1)
    expected = host.agents[1].parameters.clone()
    other = make_host(3, encoders=(NOISY,))
    other.begin(ALONE)
    other.agents[1].embed_anchors(2, 1)
    other.evaluate()
    other.train(1)
    assert torch.equal(other.agents[1].parameters, expected)


def test_evaluation_texts_are_cut_at_the_evaluation_length(host):
    long = " ".join(["wave"] * 14)  # 16 tokens with the special ones
    agent = host.agents[0]
    np.testing.assert_array_equal(agent.embed([long]), agent.embed([long + " tide ship"]))
    assert not np.allclose(agent.embed([long[:-5]]), agent.embed([long]))


def test_repeated_and_empty_texts_are_embedded(host):
    rows = host.agents[0].embed(["wave", "", "wave"])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert np.isfinite(rows).all()


def test_tokens_of_embedded_anchors_are_counted_and_reported_once(host):
    agent = host.agents[0]
    agent.embed(["wave tide", "ship"])
    assert agent.state.embedded_tokens == 0
    agent.embed_anchors(1, 1)
    embedded = agent.state.embedded_tokens
    assert embedded > 12 * 2
    assert agent.train(ALONE, 1)["embedded_tokens"] == embedded
    assert agent.train(ALONE, 2)["embedded_tokens"] == 0


def test_sample_of_private_texts_is_drawn_by_agent_and_round_and_is_no_larger_than_they_are(host):
    agent = host.agents[1]
    sample = agent.embed_private(6, 1)
    assert sample.shape == (6, 64)
    assert not sample.requires_grad
    torch.testing.assert_close(sample.norm(dim=1), torch.ones(6))
    assert torch.equal(sample, agent.embed_private(6, 1))
    assert not torch.equal(sample, agent.embed_private(6, 2))
    assert len(agent.embed_private(100, 1)) == agent.examples == 11


def test_sample_holds_private_texts_each_once(host, monkeypatch):
    agent, seen = host.agents[0], []
    monkeypatch.setattr(agent, "_pool_rows", lambda rows, rng: seen.append(rows))
    monkeypatch.setattr(agent, "_project", lambda pooled: pooled)
    agent.embed_private(8, 1)
    assert sorted(seen[0]) == list(range(12, 20))  # behind the anchors


def test_tokens_of_what_is_embedded_for_others_are_counted(host):
    agent = host.agents[0]
    agent.embed_private(5, 1)
    sampled = agent.state.embedded_tokens
    assert sampled > 5 * 2
    agent.preview()
    previewed = agent.state.embedded_tokens - sampled
    embedded = sampled + previewed
    metrics = agent.train(Arm(Isolated(), anchor_fraction=0.25), 1)
    assert metrics["embedded_tokens"] == embedded
    assert 0 < previewed < metrics["tokens"]  # of two steps


def test_private_texts_of_a_batch_are_as_many_as_a_step_reads(host):
    for agent in host.agents.values():
        (documents,) = agent.batch_rows(ALONE.anchor_fraction, 1)
        assert agent.private_batch_size == len(documents.rows) - len(documents.anchors)


def test_anchors_are_cropped_to_the_training_length(make_host):
    host = make_host(1, training={"max_length": 8})
    host.begin(ALONE)
    agent, widths = host.agents[0], []
    agent.encoder.register_forward_pre_hook(lambda _, inputs: widths.append(inputs[0].shape[1]))
    agent.embed_anchors(3, 1)
    assert max(widths) == 8


def test_agent_knows_its_documents_and_the_anchors(host):
    assert [agent.examples for agent in host.agents.values()] == [8, 11, 14]
    assert {agent.anchor_count for agent in host.agents.values()} == {12}


class Mean:
    """Fits the map that subtracts the mean of all rows."""

    measured = ("centered",)

    def __init__(self, documents, text="documents"):
        self.documents = documents
        self.text = text

    def __call__(self, rows):
        return {"centered": EmbeddingMap(None, -rows.astype(np.float64).mean(axis=0))}


def test_maps_are_fitted_on_the_embeddings_of_the_agents_own_documents(
    make_host, sentences, documents
):
    host = make_host(3, encoders=(NOISY,), fit_maps=Mean(documents=100))
    host.begin(ALONE)
    agent = host.agents[1]
    own = host.blueprint.members[1].rows
    expected = agent.embed([sentences[row] for row in own]).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(agent.fitted_maps()["centered"].bias, -expected, atol=1e-5)


def test_maps_of_sentences_are_fitted_on_the_first_of_each_document(make_host, documents):
    host = make_host(3, encoders=(NOISY,), fit_maps=Mean(100, "sentences"))
    host.begin(ALONE)
    agent = host.agents[1]
    tokenizer = agent.resident.group.tokenizer
    first = [documents[row][:4] for row in host.blueprint.members[1].rows]
    expected = agent.embed([tokenizer.decode(ids) for ids in first]).mean(axis=0)
    np.testing.assert_allclose(agent.fitted_maps()["centered"].bias, -expected, atol=1e-5)


def test_maps_do_not_depend_on_documents_that_the_agent_does_not_train_on(
    make_host, make_blueprint, documents
):
    def fitted(tokens):
        host = make_host(1)
        blueprint = make_blueprint(3, encoders=(NOISY,), fit_maps=Mean(documents=6))
        (group,) = blueprint.groups
        host.build(replace(blueprint, groups=(replace(group, tokens=tokens),)))
        host.begin(ALONE)
        return host.agents[1].fitted_maps()["centered"].bias

    own = set(make_blueprint(3).members[1].rows.tolist())
    others = type(documents)(each if row in own else each[:1] for row, each in enumerate(documents))
    np.testing.assert_array_equal(fitted(others), fitted(documents))
    changed = type(documents)(each[:1] for each in documents)
    assert not np.allclose(fitted(changed), fitted(documents))


def test_maps_of_a_sample_are_the_same_every_time_and_differ_between_agents(make_host):
    host = make_host(3, encoders=(NOISY,), fit_maps=Mean(documents=4))
    host.begin(ALONE)
    first, again, other = (host.agents[id].fitted_maps()["centered"].bias for id in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_without_a_fitter_there_are_no_maps(host):
    assert host.agents[0].fitted_maps() == {}
