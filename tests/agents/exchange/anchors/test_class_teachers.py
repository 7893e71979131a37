"""Strategies that speak of classes, over every way to fuse and along every topology."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.anchors.codistillation import Codistillation, edge_draw
from agents.exchange.anchors.dsfl import DSFL
from agents.exchange.anchors.fedmd import FedMD
from agents.exchange.anchors.label_fusion import FUSIONS, Votes
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.base import AnchorBatch, Heads
from agents.exchange.trust import audit_anchors
from agents.objectives import functional
from protocols.messages import Logits, PseudoLabels, SimilarityTargets
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode

PEER = Turn(round=1, hop=0, direction=Direction.PEER)
LIKE = (EncoderConfig(preset="nano"),) * 2
TREES = [(MasterSlave(master=3), 3), (Layered(), 0), (Layered(levels=(1, 1, 2, 3)), 0)]


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def slow_scores(learner, classes, temperature, round=1) -> np.ndarray:
    """Cosines to the means of the other members of each class, over the temperature."""
    mean = learner.embed_anchors(2, round).mean(dim=0).double().numpy()
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    scores = np.zeros((len(unit), classes))
    for n in range(len(unit)):
        for k in range(classes):
            members = [
                unit[i] for i in range(len(unit)) if learner.anchor_clusters[i] == k and i != n
            ]
            if members:
                total = np.sum(members, axis=0)
                scores[n, k] = unit[n] @ total / np.linalg.norm(total) / temperature
    return scores


def all_scores(society) -> np.ndarray:
    """`[7, N, K]` of everybody."""
    agents = [society.host.agents[id] for id in range(7)]
    exchange = society.exchange
    return np.stack([slow_scores(each, exchange.classes, exchange.temperature) for each in agents])


def teacher(society, id) -> np.ndarray:
    return society.host.agents[id].exchange_state.teacher.numpy()


def fused(society, kind, said) -> np.ndarray:
    """Fuse soft labels `[S, N, K]` all at once."""
    agent, exchange = society.host.agents[0], society.exchange
    share = exchange.fusion.audit_share
    votes = Votes(
        torch.from_numpy(said).float(),
        torch.ones(len(said)),
        torch.from_numpy(agent.anchor_clusters),
        torch.from_numpy(audit_anchors(agent, share) if share else np.zeros(0, dtype=np.int64)),
    )
    return exchange.fusion.fuse(votes).numpy()


@pytest.mark.parametrize("kind", FUSIONS)
def test_peers_fuse_the_labels_of_their_neighbours(kind, make_society):
    society = make_society(PseudoLabelExchange(classes=4, fusion=kind), Ring())
    said = softmax(all_scores(society))
    society.run(1)
    for id in range(7):
        expected = fused(society, kind, said[[(id - 1) % 7, (id + 1) % 7]])
        np.testing.assert_allclose(teacher(society, id), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", FUSIONS)
@pytest.mark.parametrize(("topology", "top"), TREES, ids=["master", "branching 2", "four levels"])
def test_trees_fuse_the_labels_of_everybody_at_once(kind, topology, top, make_society):
    society = make_society(PseudoLabelExchange(classes=4, fusion=kind), topology)
    said = softmax(all_scores(society))
    society.run(1)
    everybody = fused(society, kind, said)
    for id in set(range(7)) - {top}:
        np.testing.assert_allclose(teacher(society, id), everybody, rtol=1e-4, atol=1e-6)
    others = fused(society, kind, np.delete(said, top, axis=0))
    np.testing.assert_allclose(teacher(society, top), others, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "votes"), [("mean", 1), ("era", 1), ("dawid_skene", 3)])
def test_messages_up_hold_one_label_or_those_of_everybody_below(kind, votes, make_society):
    society = make_society(PseudoLabelExchange(classes=4, fusion=kind), Layered())
    arrays = {}
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        for envelope, buffer in zip(outbox.envelopes, outbox.handle, strict=True):
            sent = decode(buffer).payload.probabilities
            arrays[str(scheduled.hop.direction), envelope.sender] = sent.size // (12 * 4)
        for agent in {receiver for _, receiver in scheduled.hop.edges}:
            assert society.deliver(scheduled, agent, society.addressed(outbox, agent)) == []
    assert {arrays["up", leaf] for leaf in (3, 4, 5, 6)} == {1}
    assert {arrays["up", relay] for relay in (1, 2)} == {votes}
    assert {arrays["down", id] for id in (0, 1, 2)} == {1}


def test_audit_anchors_are_not_learnt_from(make_learner, message, draw):
    exchange = PseudoLabelExchange(classes=2, confidence=0.0, fusion="validation_weighted", ramp=1)
    learner, other = (make_learner(anchors=8, clusters=[0, 1] * 4, id=id) for id in (0, 1))
    exchange.merge(learner, [message(exchange.compose(other, PEER), 1)], PEER)
    view = draw(8, 2).requires_grad_()
    exchange.loss(
        learner, AnchorBatch(torch.arange(8), (view,)), np.random.default_rng(0)
    ).backward()
    held = audit_anchors(learner, 0.25)
    assert (view.grad[held] == 0).all()
    assert (np.delete(view.grad.numpy(), held, axis=0) != 0).all()
    alone = AnchorBatch(torch.from_numpy(held), (draw(len(held), 2),))
    assert exchange.loss(learner, alone, np.random.default_rng(0)) is None


@pytest.mark.parametrize(("topology", "top"), TREES, ids=["master", "branching 2", "four levels"])
def test_era_sharpens_the_mean_of_everybody_once(topology, top, make_society):
    society = make_society(DSFL(classes=4, sharpness=0.2), topology)
    said = softmax(all_scores(society))
    society.run(1)
    for id in set(range(7)) - {top}:
        np.testing.assert_allclose(
            teacher(society, id), softmax(said.mean(axis=0) / 0.2), rtol=1e-4
        )
    others = np.delete(said, top, axis=0).mean(axis=0)
    np.testing.assert_allclose(teacher(society, top), softmax(others / 0.2), rtol=1e-4)


def test_era_sharpens_what_peers_say(make_society):
    society = make_society(DSFL(classes=4), Ring())
    said = softmax(all_scores(society))
    society.run(1)
    np.testing.assert_allclose(
        teacher(society, 0), softmax((said[1] + said[6]) / 2 / 0.1), rtol=1e-4
    )


@pytest.mark.parametrize("topology", [Ring(), MasterSlave(master=3), Layered()])
def test_logits_average_scores_and_not_probabilities(topology, make_society):
    society = make_society(FedMD(classes=4), topology)
    said = all_scores(society)
    society.run(1)
    heard = [1, 6] if topology.kind == "ring" else range(7)
    id = 0 if topology.kind == "ring" else 6
    np.testing.assert_allclose(teacher(society, id), said[heard].mean(axis=0), rtol=1e-4, atol=1e-4)


def slow_loss(kind, view, target) -> float:
    """The loss of one view `[A, K]` against a row of the teacher for each anchor, loops over anchors."""
    total = 0.0
    for logits, row in zip(view, target, strict=True):
        log_q = logits - np.log(np.exp(logits).sum())
        if kind == "l1":
            total += np.abs(logits - row).mean()
        elif kind == "mse":
            total += ((logits - row) ** 2).mean()
        elif kind == "cross_entropy":
            total -= softmax(row) @ log_q
        elif kind == "dsfl":
            total -= row @ log_q
        else:
            total += sum(p * (math.log(p) - q) for p, q in zip(row, log_q, strict=True) if p > 0)
    return total / len(view)


LOSSES = {
    "l1": FedMD(classes=3, digest="l1", weight=2.0, ramp=1),
    "mse": FedMD(classes=3, digest="mse", weight=2.0, ramp=1),
    "cross_entropy": FedMD(classes=3, digest="cross_entropy", weight=2.0, ramp=1),
    "dsfl": DSFL(classes=3, weight=2.0, ramp=1),
    "codistillation": Codistillation(over="classes", classes=3, weight=2.0, ramp=1),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_loss_and_gradient_equal_the_loop_over_anchors(kind, make_learner, message, draw):
    exchange, learner = LOSSES[kind], make_learner(clusters=[0, 1, 2] * 2)
    other = make_learner(clusters=[0, 1, 2] * 2, id=1)
    exchange.merge(learner, [message(exchange.compose(other, PEER), 1)], PEER)
    scores = slow_scores(other, 3, 0.1)
    said = {
        "codistillation": softmax(scores),
        "dsfl": softmax(softmax(scores) / 0.1),
    }.get(kind, scores)
    np.testing.assert_allclose(learner.exchange_state.teacher, said, rtol=1e-4, atol=1e-5)
    target = learner.exchange_state.teacher = learner.exchange_state.teacher.double()
    ids = [4, 0, 5]
    views = tuple(draw(3, 3).double().requires_grad_() for _ in range(2))
    loss = exchange.loss(learner, AnchorBatch(torch.tensor(ids), views), np.random.default_rng(0))
    first, second = (view.detach().numpy() for view in views)
    rows = target.numpy()[ids]

    def slow(view):
        return 2.0 * (slow_loss(kind, view, rows) + slow_loss(kind, second, rows)) / 2

    assert loss.item() == pytest.approx(slow(first), rel=1e-6)
    loss.backward()
    for index in np.ndindex(first.shape):
        step = np.zeros_like(first)
        step[index] = 1e-6
        numeric = (slow(first + step) - slow(first - step)) / 2e-6
        assert views[0].grad[index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_mutual_learns_the_divergence_from_the_partners_similarities(make_learner, message, draw):
    exchange, learner = Codistillation(weight=2.0, ramp=1), make_learner()
    other = make_learner(id=1)
    exchange.merge(learner, [message(exchange.compose(other, PEER), 1)], PEER)
    ids, view = [4, 0, 5], draw(3, 5)
    loss = exchange.loss(learner, AnchorBatch(torch.tensor(ids), (view,)), np.random.default_rng(0))
    full = functional.similarity_distribution(other.embed_anchors(2, 1).mean(dim=0), 0.1).numpy()
    student = functional.similarity_distribution(view.double(), 0.1).numpy()
    expected = 0.0
    for row, anchor in enumerate(ids):
        within = sum(full[anchor, j] for j in ids)
        for column, j in enumerate(ids):
            if row != column:
                p = full[anchor, j] / within
                expected += p * math.log(p / student[row, column]) / 3
    assert loss.item() == pytest.approx(2.0 * expected, rel=1e-4)


@pytest.mark.parametrize("over", ["similarities", "classes"])
def test_mutual_partner_is_the_neighbour_whose_edge_drew_the_least(over, make_society):
    settings = {"classes": 4} if over == "classes" else {}
    society = make_society(Codistillation(over=over, **settings), Ring())
    seen = set()
    for round in (1, 2, 3):
        society.run(round)
        for id in range(7):
            around = [(id - 1) % 7, (id + 1) % 7]
            partner = min(around, key=lambda other: edge_draw(3, round, id, other))
            agent, other = society.host.agents[id], society.host.agents[partner]
            assert agent.exchange_state.drawn[1] == partner
            turn = Turn(round=round, hop=0, direction=Direction.PEER)
            payload = society.exchange.compose(other, turn)
            said = payload.values if over == "similarities" else payload.probabilities
            np.testing.assert_allclose(teacher(society, id), said, rtol=1e-5, atol=1e-7)
            seen.add((id, partner))
    assert len(seen) > 9, "partners change from round to round"


def test_mutual_of_a_tree_chooses_among_parent_and_children(make_society):
    society = make_society(Codistillation(), Layered())
    directions = set()
    for round in range(1, 5):
        society.run(round)
        for id in range(7):
            around = sorted(society.network.neighbours(id))
            partner = min(around, key=lambda other: edge_draw(3, round, id, other))
            assert society.host.agents[id].exchange_state.drawn[1] == partner
            if id in (1, 2):
                directions.add(partner == society.network.parent(id))
    assert directions == {True, False}


def test_mutual_teacher_of_an_earlier_round_gives_way(make_learner, message):
    exchange, learner = Codistillation(), make_learner()
    others = {id: make_learner(id=id) for id in (1, 2)}
    for round, id in ((1, 1), (2, 2), (3, 1)):
        turn = Turn(round=round, hop=0, direction=Direction.PEER)
        payload = exchange.compose(others[id], turn)
        exchange.merge(learner, [message(payload, id, round)], turn)
        np.testing.assert_array_equal(learner.exchange_state.teacher, payload.values)


def test_what_each_strategy_sends_and_asks_of_the_encoder(make_learner):
    learner = make_learner(clusters=[0, 1] * 3)
    sent = {
        FedMD(classes=2): Logits,
        DSFL(classes=2): PseudoLabels,
        Codistillation(): SimilarityTargets,
        Codistillation(over="classes", classes=2): PseudoLabels,
    }
    for exchange, payload in sent.items():
        assert isinstance(exchange.compose(learner, PEER), payload)
        classes = 2 if payload is not SimilarityTargets else 0
        assert exchange.heads(frozenset({64, 128})) == Heads(classes=classes)


def test_classes_are_refused_where_anchors_do_not_fill_them_or_are_unused():
    small = Society(LIKE, anchors=31, batch_size=64)
    for exchange in (FedMD(), DSFL(), Codistillation(over="classes")):
        with pytest.raises(ValueError, match=r"exchange\.classes 16 needs at least 32 anchors"):
            exchange.check(small)
    Codistillation().check(small)
    with pytest.raises(ValueError, match=r"exchange\.labels is set, and codistillation exchanges"):
        Codistillation(labels="true").check(small)


def test_true_labels_are_wanted_where_classes_are_exchanged():
    for cls in (PseudoLabelExchange, FedMD, DSFL):
        assert cls(labels="true").wants_labels
        assert not cls().wants_labels
    assert Codistillation(over="classes", labels="true").wants_labels
    assert not Codistillation().wants_labels
