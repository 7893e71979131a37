"""Similarity of anchors and pseudo-labels: both are averaged into one teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange import Turn
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.anchors.classes import class_cosines
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.base import AnchorBatch
from agents.exchange.fusion import weighted_mean
from agents.objectives import functional
from protocols.messages import PseudoLabels, SimilarityTargets
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode

SIMILARITY = AnchorSimilarity()
LABELS = PseudoLabelExchange(classes=4, confidence=0.0)
BOTH = pytest.mark.parametrize("exchange", [SIMILARITY, LABELS], ids=lambda e: e.kind)
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def own_summary(exchange, learner, round: int = 1) -> np.ndarray:
    """Work out a summary from the agent's embeddings alone."""
    mean = learner.embed_anchors(exchange.crops, round).mean(dim=0)
    if exchange.kind == "anchor_similarity":
        return functional.similarity_distribution(mean, exchange.temperature).numpy()
    unit = torch.nn.functional.normalize(mean, dim=-1)
    clusters = torch.from_numpy(learner.anchor_clusters)
    scores = class_cosines(unit, clusters, exchange.classes) / exchange.temperature
    return torch.softmax(scores, dim=-1).numpy()


def summaries(society) -> np.ndarray:
    agents = [society.host.agents[id] for id in range(7)]
    return np.stack([own_summary(society.exchange, agent) for agent in agents])


def teacher(society, id: int) -> np.ndarray:
    return society.host.agents[id].exchange_state.teacher.numpy()


@BOTH
def test_summaries_differ_between_agents_so_that_averages_show_something(exchange, make_society):
    said = summaries(make_society(exchange, Ring()))
    assert min(np.abs(said[i] - said[j]).max() for i in range(7) for j in range(i)) > 1e-3


@BOTH
def test_peers_learn_from_the_mean_of_their_neighbours(exchange, make_society):
    society = make_society(exchange, Ring())
    said = summaries(society)
    society.run(1)
    for id in range(7):
        neighbours = (said[(id - 1) % 7] + said[(id + 1) % 7]) / 2
        np.testing.assert_allclose(teacher(society, id), neighbours, rtol=1e-5, atol=1e-7)


@BOTH
@pytest.mark.parametrize(
    ("topology", "top"),
    [(MasterSlave(master=3), 3), (Layered(), 0), (Layered(levels=(1, 1, 2, 3)), 0)],
    ids=["master_slave", "branching 2", "four levels"],
)
def test_trees_learn_from_the_mean_of_everybody_and_the_top_from_all_others(
    exchange, make_society, topology, top
):
    society = make_society(exchange, topology)
    said = summaries(society)
    society.run(1)
    everybody = said.mean(axis=0)
    for id in set(range(7)) - {top}:
        np.testing.assert_allclose(teacher(society, id), everybody, rtol=1e-5, atol=1e-7)
    others = np.delete(said, top, axis=0).mean(axis=0)
    np.testing.assert_allclose(teacher(society, top), others, rtol=1e-5, atol=1e-7)


@BOTH
def test_teacher_of_an_earlier_round_gives_way_to_the_new_one(exchange, make_society):
    society = make_society(exchange, Layered())
    society.run(1)
    for agent in society.host.agents.values():
        agent.parameters.mul_(1.01)
    said = np.stack([own_summary(exchange, society.host.agents[id], round=2) for id in range(7)])
    society.run(2)
    np.testing.assert_allclose(teacher(society, 6), said.mean(axis=0), rtol=1e-5, atol=1e-7)


@BOTH
@pytest.mark.parametrize("before", [0, 1])
def test_agents_that_hear_nobody_speak_for_themselves_and_not_for_an_earlier_round(
    exchange, make_society, before
):
    society = make_society(exchange, Layered())
    for round in range(1, before + 1):
        society.run(round)
    now = before + 1
    planned = society.scheduled_hops(now)
    for scheduled, agent in (
        (planned[1], 1),
        (planned[2], 0),
        (planned[3], 1),
    ):  # up, down from the top, and on
        society.deliver(scheduled, agent, [])
        outbox = society.compose(scheduled)
        senders = [envelope.sender for envelope in outbox.envelopes]
        payload = decode(outbox.handle[senders.index(agent)]).payload
        (name,) = payload.array_fields
        own = own_summary(exchange, society.host.agents[agent], now)
        assert payload.weight == 1.0
        np.testing.assert_allclose(getattr(payload, name), own, rtol=1e-5, atol=1e-7)


def test_weighted_mean_equals_numpy_and_sums_the_weights(draw):
    parts = [(draw(3, 2), weight) for weight in (1.0, 2.0, 5.0)]
    mean, total = weighted_mean(parts)
    expected = np.average([p.numpy() for p, _ in parts], axis=0, weights=[1, 2, 5])
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-6)
    assert total == 8.0


def hear(exchange, learner, message, payloads) -> None:
    """Merge payloads often enough for the loss to have its full weight."""
    for round in range(1, exchange.ramp + 1):
        turn = Turn(round=round, hop=0, direction=Direction.PEER)
        inbox = [message(p, sender, round) for sender, p in enumerate(payloads, start=1)]
        exchange.merge(learner, inbox, turn)


def test_similarity_loss_is_the_divergence_on_the_batch_of_the_restricted_teacher(
    make_learner, message, draw
):
    exchange, learner = AnchorSimilarity(weight=2.0), make_learner()
    others = [make_learner(id=id) for id in (1, 2)]
    hear(exchange, learner, message, [exchange.compose(other, PEER) for other in others])
    ids = [4, 0, 5]
    views = (draw(3, 5).requires_grad_(), draw(3, 5).requires_grad_())
    batch = AnchorBatch(torch.tensor(ids), views)
    loss = exchange.loss(learner, batch, np.random.default_rng(0))
    full = (own_summary(exchange, others[0]) + own_summary(exchange, others[1])) / 2
    expected = 0.0
    for view in views:
        student = functional.similarity_distribution(view.detach().double(), 0.1).numpy()
        for row, anchor in enumerate(ids):
            within = sum(full[anchor, other] for other in ids)
            for column, other in enumerate(ids):
                if row != column:
                    p = full[anchor, other] / within
                    expected += p * np.log(p / student[row, column]) / 3 / 2
    assert loss.item() == pytest.approx(2.0 * expected, rel=1e-4)
    loss.backward()
    assert all(view.grad.abs().sum() > 0 for view in views)


def test_similarity_loss_is_finite_whatever_finite_numbers_a_neighbour_sends(
    make_learner, message, draw
):
    learner, views = make_learner(), (draw(4, 5).requires_grad_(),)
    hostile = SimilarityTargets(values=np.full((6, 6), 0.5, np.float32), weight=1.0)
    hostile.values.setflags(write=True)
    hostile.values[0] = -3.0
    hostile.values[1] = 3e38
    hear(SIMILARITY, learner, message, [hostile])
    batch = AnchorBatch(torch.arange(4), views)
    loss = SIMILARITY.loss(learner, batch, np.random.default_rng(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(views[0].grad).all()


def test_pseudo_label_loss_is_the_cross_entropy_of_the_confident_anchors(
    make_learner, message, draw
):
    exchange = PseudoLabelExchange(classes=3, confidence=0.6, weight=2.0)
    learner = make_learner(clusters=[0, 1, 2, 0, 1, 2])
    labels = np.array(
        [
            [0.7, 0.2, 0.1],
            [0.4, 0.3, 0.3],
            [0.1, 0.1, 0.8],
            [0.5, 0.5, 0.0],
            [0, 1, 0],
            [0.6, 0.4, 0],
        ],
        dtype=np.float32,
    )
    hear(exchange, learner, message, [PseudoLabels(probabilities=labels, weight=1.0)])
    ids = [1, 2, 4, 3]
    views = (draw(4, 3).requires_grad_(), draw(4, 3))
    batch = AnchorBatch(torch.tensor(ids), views)
    loss = exchange.loss(learner, batch, np.random.default_rng(0))
    expected = 0.0
    for view in views:
        for row in (1, 2):  # anchors 2 and 4 are confident
            logits = view[row].detach().double().numpy()
            log_q = logits - np.log(np.exp(logits).sum())
            expected -= float(labels[ids[row]] @ log_q) / 2 / 2
    assert loss.item() == pytest.approx(2.0 * expected, rel=1e-5)
    loss.backward()
    assert (views[0].grad[[0, 3]] == 0).all()
    assert (views[0].grad[[1, 2]] != 0).all()


def test_pseudo_labels_below_the_confidence_teach_nothing(make_learner, message, draw):
    exchange = PseudoLabelExchange(classes=2, confidence=0.9)
    learner = make_learner(clusters=[0, 1] * 3)
    labels = PseudoLabels(probabilities=np.full((6, 2), 0.5, np.float32), weight=1.0)
    hear(exchange, learner, message, [labels])
    batch = AnchorBatch(torch.arange(3), (draw(3, 2),))
    assert exchange.loss(learner, batch, np.random.default_rng(0)) is None


def test_classifier_is_what_learns_pseudo_labels(make_society):
    society = make_society(LABELS, Ring())
    classifier = society.host.agents[0].encoder.classifier
    assert (classifier.in_features, classifier.out_features) == (64, 4)
    society.run(1)
    before = classifier.bias.detach().clone()  # takes no decay: only a gradient moves it
    society.train(2)
    assert not torch.equal(society.host.agents[0].encoder.classifier.bias, before)


@BOTH
def test_nothing_is_learnt_before_the_first_exchange(exchange, make_learner, draw):
    learner = make_learner(clusters=[0, 1, 2, 3, 0, 1])
    batch = AnchorBatch(torch.arange(3), (draw(3, 4),))
    assert exchange.loss(learner, batch, np.random.default_rng(0)) is None


def test_summaries_weigh_in_an_average_by_the_agents_they_stand_for(make_learner, message):
    learner = make_learner(anchors=4)
    one, other = (np.full((4, 4), value, np.float32) for value in (0.0, 1.0))
    payloads = [
        SimilarityTargets(values=one, weight=3.0),
        SimilarityTargets(values=other, weight=1.0),
    ]
    up = Turn(round=1, hop=0, direction=Direction.UP)
    inbox = [message(p, sender) for sender, p in enumerate(payloads, start=1)]
    SIMILARITY.merge(learner, inbox, up)
    assert torch.allclose(learner.exchange_state.teacher, torch.tensor(0.25))
    said = SIMILARITY.compose(learner, Turn(round=1, hop=1, direction=Direction.UP))
    assert said.weight == 5.0
    expected = (own_summary(SIMILARITY, learner) + other) / 5
    np.testing.assert_allclose(said.values, expected, rtol=1e-5)
