"""Classification of an agent's own labelled documents."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agents.exchange.anchors.fedmd import FedMD
from agents.exchange.hybrid import Hybrid
from agents.exchange.isolated import Isolated
from agents.exchange.parameters.fedavg import FedAvg
from agents.models.heads.label_head import LabelHead
from agents.objectives import InfoNCE, Labelled, RawBatch, Step
from agents.objectives.base import LabelledTexts
from agents.objectives.labelled import LABEL_HEAD
from agents.text.tokens import Text
from agents.training.blueprint import Arm
from protocols.topologies.peer import Ring

ALONE = Arm(Isolated(), anchor_fraction=0.0)
STATISTICS = {f"heads.{LABEL_HEAD}.mean", f"heads.{LABEL_HEAD}.seen"}


@pytest.fixture
def agent(make_host):
    host = make_host(1, objectives=(Labelled(classes=4),))
    host.begin(ALONE)
    agent = host.agents[0]
    agent.encoder.eval()
    return agent


def raw(agent, documents, count=8, rng=0):
    """Return a batch of some documents, and the four labelled ones of the agent."""
    texts = [Text(tokens, np.arange(0, len(tokens), 4)) for tokens in documents[:count]]
    rng = np.random.default_rng(rng)
    return RawBatch(texts, agent.resident.collate, agent.setting, rng, agent.labelled)


@pytest.mark.parametrize("pooled_before", [False, True])
def test_loss_is_the_cross_entropy_of_centred_unit_states(agent, documents, pooled_before):
    objective = Labelled(classes=4, share=1.0)
    prepared = objective.prepare(raw(agent, documents))
    inputs = agent.resident.to_device(prepared)
    others = torch.randn(6, agent.encoder.width, generator=torch.Generator().manual_seed(1))
    given = (others, others + 1) if pooled_before else ()
    step = Step(agent.encoder, inputs, np.random.default_rng(0), pooled=given)
    result = objective.loss(step)
    with torch.no_grad():
        states = agent.encoder.pool_batch(inputs["labelled"]).double().numpy()
    centre = (others.double().numpy() if pooled_before else states).mean(axis=0)
    linear = agent.encoder.heads[LABEL_HEAD].linear
    weight, bias = (each.detach().double().numpy() for each in (linear.weight, linear.bias))
    losses, right = [], 0
    for state, label in zip(states, prepared["labels"], strict=True):
        away = state - centre
        scores = weight @ (away / np.linalg.norm(away)) * len(away) ** 0.5 + bias
        losses.append(np.log(np.exp(scores).sum()) - scores[label])
        right += int(scores.argmax() == label)
    assert len(losses) == 8
    assert result.loss.item() == pytest.approx(np.mean(losses), rel=1e-4)
    accuracy = result.metrics["labelled_accuracy"]
    assert (int(accuracy.total), accuracy.count) == (right, 8)
    assert result.pooled == ()


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.01, 1), (0.25, 2), (0.5, 4), (1.25, 10), (4.0, 32)]
)
def test_every_labelled_document_is_drawn_as_often_as_any_other(agent, documents, share, drawn):
    prepared = Labelled(classes=4, share=share, views=()).prepare(raw(agent, documents))
    counts = Counter(prepared["labels"].tolist())
    assert counts.total() == drawn
    assert max(counts.values()) - min(counts.get(k, 0) for k in range(4)) <= 1
    tokens = prepared["labelled"].input_ids
    texts = [agent.labelled.texts[label].tokens for label in prepared["labels"]]
    for row, text in zip(tokens, texts, strict=True):
        room = min(len(text), agent.resident.collate.budget)
        assert row[1 : 1 + room].tolist() == text[:room].tolist()


def test_draw_differs_from_step_to_step(agent, documents):
    drawn = [
        Labelled(classes=4).prepare(raw(agent, documents, rng=rng))["labels"].tolist()
        for rng in range(8)
    ]
    assert len({tuple(each) for each in drawn}) > 2


def test_head_tracks_a_plain_mean_of_ten_batches_and_then_forgets():
    head = LabelHead(5, 3)
    batches = torch.randn(25, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = np.zeros(5)
    for number, batch in enumerate(batches, 1):
        head.track(batch)
        mean = batch.double().numpy().mean(axis=0)
        expected += (mean - expected) * (1 / number if number <= 10 else 0.1)
        if number == 10:
            np.testing.assert_allclose(head.mean, batches[:10].mean(dim=(0, 1)), atol=1e-5)
        np.testing.assert_allclose(head.mean, expected, atol=1e-5)


def test_texts_that_only_differ_by_scale_from_the_mean_score_alike():
    head = LabelHead(5, 3)
    head.track(torch.full((1, 5), 2.0))
    away = torch.tensor([[1.0, -1.0, 0.5, 0.0, 2.0]])
    torch.testing.assert_close(head(2.0 + away), head(2.0 + 7 * away))


@pytest.fixture
def host(make_host):
    def make(agents=2):
        training = {"local_steps": 3, "max_length": 16, "batch_size": 8}
        objectives = (InfoNCE(), Labelled(classes=4))
        made = make_host(agents, objectives=objectives, training=training)
        made.begin(ALONE)
        return made

    return make


def buffers(host, agent):
    return host.agents.unchanged(agent).state.buffers


def test_statistics_of_the_head_are_each_agents_own_and_checkpointed(host, tmp_path):
    made, other = host(), host()
    made.train(1)
    first, second = buffers(made, 0), buffers(made, 1)
    assert first.keys() >= STATISTICS
    assert int(first[f"heads.{LABEL_HEAD}.seen"]) == int(second[f"heads.{LABEL_HEAD}.seen"]) == 3
    name = f"heads.{LABEL_HEAD}.mean"
    assert not torch.equal(first[name], second[name])
    other.restore(tmp_path, made.snapshot(tmp_path))
    for each in (made, other):
        each.train(2)
    for agent in (0, 1):
        for key in STATISTICS:
            assert torch.equal(buffers(made, agent)[key], buffers(other, agent)[key])
    made.save({0: tmp_path / "agent"})
    saved = load_file(tmp_path / "agent" / "heads.safetensors")
    agent, collate = made.agents[0], made.agents[0].resident.collate_evaluation
    texts = [agent.resident.group.tokens[int(row)] for row in agent.resident.blueprint.anchors.rows]
    alone = [agent._encode([text[: collate.budget]], collate)[0] for text in texts]
    # Saved is the mean of public texts as they are evaluated, not that of the crops of training.
    torch.testing.assert_close(saved[name], torch.stack(alone).mean(dim=0))
    assert not torch.allclose(saved[name], buffers(made, 0)[name], atol=1e-3)


def test_averaging_parameters_leaves_the_statistics_to_each_agent(make_society):
    exchange = Hybrid(strategies=(FedAvg(), FedMD(classes=4, labels="own")))
    society = make_society(exchange, Ring())
    host, trained = society.host, sorted(society.train(1))
    before = {id: {k: v.clone() for k, v in buffers(host, id).items()} for id in trained}
    parameters = {id: host.agents[id].parameters.clone() for id in trained}
    society.run(1)
    for id in trained:
        assert not torch.equal(host.agents[id].parameters, parameters[id])
        assert all(
            torch.equal(value, before[id][name]) for name, value in buffers(host, id).items()
        )
    means = [before[id][f"heads.{LABEL_HEAD}.mean"] for id in trained]
    assert not torch.equal(means[0], means[1])


def test_labelled_texts_are_none_by_default():
    assert len(LabelledTexts().texts) == len(LabelledTexts().classes) == 0
