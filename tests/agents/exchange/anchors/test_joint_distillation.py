"""Distillation of the joint embedding of several agents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.exchange import Turn
from agents.exchange.anchors.joint_distillation import (
    JointDistillation,
    joint_embedding,
    principal_components,
)
from agents.exchange.base import AnchorBatch, Heads
from protocols.messages import Embeddings
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode

EXCHANGE = JointDistillation(ramp=1)
PEER = Turn(round=1, hop=0, direction=Direction.PEER)
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def own_embeddings(agent, round: int = 1) -> np.ndarray:
    plain = unit(agent.embed_anchors(2, round).mean(dim=0).double().numpy())
    return unit(plain - plain.mean(axis=0))


def slow_joint_cosines(embeddings, weights=None) -> np.ndarray:
    """Return the mean of the cosines of each pair of rows, one pair at a time."""
    weights = [1.0] * len(embeddings) if weights is None else weights
    anchors = len(embeddings[0])
    mean = np.zeros((anchors, anchors))
    for i in range(anchors):
        for j in range(anchors):
            for values, weight in zip(embeddings, weights, strict=True):
                one, other = values[i], values[j]
                cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
                mean[i, j] += weight * cosine / sum(weights)
    return mean


def slow_teacher(embeddings, own: np.ndarray, components: int = 64, weights=None) -> np.ndarray:
    """Factor the mean cosines, keep the largest components that the agent can hold, and rotate them."""
    components = min(components, own.shape[1])
    squares, vectors = np.linalg.eigh(slow_joint_cosines(embeddings, weights))
    coordinates = (vectors * np.sqrt(squares.clip(0)))[:, ::-1][:, :components]
    left, _, right = np.linalg.svd(unit(coordinates).T @ own, full_matrices=False)
    return unit(unit(coordinates) @ left @ right)


def teacher_of(agent) -> np.ndarray:
    return agent.exchange_state.teacher.double().numpy()


def check_teacher(agent, expected: np.ndarray, own: np.ndarray, atol: float = 2e-4) -> None:
    """Compare cosines, and nearness to the agent's own: with few anchors several rotations are best."""
    found = teacher_of(agent)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=1e-3, atol=atol)
    assert (found * own).sum() == pytest.approx((expected * own).sum(), rel=1e-3)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.25)])
def test_cosines_of_the_joint_are_the_weighted_mean_of_the_agents_cosines(draw, weights):
    parts = [draw(7, width) for width in (3, 5, 4)]
    normalised = [torch.nn.functional.normalize(each, dim=-1) for each in parts]
    joint = joint_embedding(list(zip(normalised, weights, strict=True)))
    assert joint.shape == (7, 12)
    expected = slow_joint_cosines([each.double().numpy() for each in parts], weights)
    np.testing.assert_allclose(joint @ joint.T, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns", "kept"), [(9, 5, 3), (5, 9, 3), (5, 9, 20), (9, 5, 5)])
def test_reduced_rows_are_those_of_a_truncated_singular_value_decomposition(
    draw, rows, columns, kept
):
    values = draw(rows, columns)
    reduced = principal_components(values, kept).double().numpy()
    left, singular, _ = np.linalg.svd(values.double().numpy(), full_matrices=False)
    expected = (left * singular)[:, :kept]
    assert reduced.shape == expected.shape
    np.testing.assert_allclose(np.abs(reduced), np.abs(expected), **CLOSE)
    np.testing.assert_allclose(reduced @ reduced.T, expected @ expected.T, **CLOSE)


@pytest.mark.parametrize("components", [64, 5])
def test_peers_learn_the_joint_of_themselves_and_their_neighbours(make_society, components):
    exchange = JointDistillation(ramp=1, components=components)
    society = make_society(exchange, Ring(), widths=("nano", "tiny"))
    agents = society.host.agents
    own = {id: own_embeddings(agents[id]) for id in range(7)}
    assert {values.shape[1] for values in own.values()} == {64, 128}
    society.run(1)
    for id in range(7):
        ring = [own[id], own[(id - 1) % 7], own[(id + 1) % 7]]
        expected = slow_teacher(ring, own[id], components)
        # Single precision turns the last components, where the spectrum has no gap behind them.
        check_teacher(agents[id], expected, own[id], atol=2e-3)


@pytest.mark.parametrize(
    ("topology", "top"),
    [(MasterSlave(master=3), 3), (Layered(), 0), (Layered(levels=(1, 1, 2, 3)), 0)],
    ids=["master_slave", "branching 2", "four levels"],
)
def test_all_of_a_tree_learn_the_joint_of_everybody(make_society, topology, top):
    society = make_society(EXCHANGE, topology, widths=("nano", "tiny"))
    agents = society.host.agents
    own = {id: own_embeddings(agents[id]) for id in range(7)}
    society.run(1)
    for id in range(7):
        check_teacher(agents[id], slow_teacher(list(own.values()), own[id]), own[id])
    assert agents[top].exchange_state.from_root[1][0][0].shape == (12, 12)


def test_embeddings_travel_up_side_by_side_and_reduced_down(make_society):
    exchange = JointDistillation(ramp=1, components=5)
    society = make_society(exchange, Layered())
    shapes = []
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        shapes += [decode(buffer).payload.values.shape for buffer in outbox.handle]
        for agent in {receiver for _, receiver in scheduled.hop.edges}:
            society.deliver(scheduled, agent, society.addressed(outbox, agent))
    assert shapes == [(1, 12, 64)] * 4 + [(3, 12, 64)] * 2 + [(1, 12, 5)] * 3


def test_narrow_embeddings_are_filled_up_with_zeros_beside_wider_ones(draw):
    values = EXCHANGE.pack([(draw(3, 2), 1.0), (draw(3, 4), 1.0)], PEER).values
    assert values.shape == (2, 3, 4)
    assert (values[0, :, 2:] == 0).all()
    assert (values[0, :, :2] != 0).all()


@pytest.mark.parametrize("round", [1, 2])
def test_agents_that_receive_nothing_send_their_own(make_society, round):
    society = make_society(EXCHANGE, Layered())
    if round == 2:
        society.run(1)
    up, down = society.scheduled_hops(round)[1:3]
    for scheduled, agent, agents in ((up, 1, 1), (down, 0, 1)):
        society.deliver(scheduled, agent, [])
        outbox = society.compose(scheduled)
        senders = [envelope.sender for envelope in outbox.envelopes]
        sent = decode(outbox.handle[senders.index(agent)]).payload.values
        own = own_embeddings(society.host.agents[agent], round)
        assert len(sent) == agents
        rows = unit(sent[0].astype(np.float64))
        np.testing.assert_allclose(rows @ rows.T, own @ own.T, **CLOSE)


def hear(learner, message, *values, turn=PEER, exchange=EXCHANGE) -> None:
    payloads = [Embeddings(values=each[None].numpy()) for each in values]
    exchange.merge(learner, [message(p, i) for i, p in enumerate(payloads, start=1)], turn)


@pytest.mark.parametrize("direction", [Direction.PEER, Direction.DOWN])
def test_agents_narrower_than_the_joint_learn_what_varies_most(
    make_learner, message, draw, direction
):
    learner, sent = make_learner(anchors=20, width=4), draw(20, 9)
    hear(learner, message, sent, turn=replace(PEER, direction=direction))
    own = EXCHANGE.summarise(learner, PEER).double().numpy()
    parts = [sent.double().numpy()]
    expected = slow_teacher([own, *parts] if direction is Direction.PEER else parts, own)
    np.testing.assert_allclose(teacher_of(learner), expected, **CLOSE)


def test_stale_neighbours_weigh_less_in_the_mean_of_cosines(make_learner, message, draw):
    learner, sent = make_learner(anchors=8), [draw(8, 3), draw(8, 4)]
    hear(learner, message, *sent, turn=replace(PEER, discounts={2: 0.25}))
    own = EXCHANGE.summarise(learner, PEER).double().numpy()
    parts = [own, *(each.double().numpy() for each in sent)]
    expected = slow_teacher(parts, own, weights=(1.0, 1.0, 0.25))
    np.testing.assert_allclose(teacher_of(learner), expected, **CLOSE)


def test_scale_of_a_message_gives_no_weight(make_learner, message, draw):
    sent, (one, other) = draw(6, 3), (make_learner(id=0), make_learner(id=0))
    other._embeddings = one._embeddings
    hear(one, message, sent)
    hear(other, message, 1000.0 * sent)
    np.testing.assert_allclose(teacher_of(one), teacher_of(other), **CLOSE)


def test_loss_is_one_minus_the_cosine_to_the_teachers_row(make_learner, message, draw):
    exchange = JointDistillation(ramp=1, weight=2.0)
    learner, ids = make_learner(), [4, 0, 5]
    hear(learner, message, draw(6, 3), exchange=exchange)
    views = tuple(draw(3, 5).requires_grad_() for _ in range(2))
    loss = exchange.loss(learner, AnchorBatch(torch.tensor(ids), views), np.random.default_rng(0))
    teacher = learner.exchange_state.teacher.double()
    copies = [view.detach().double().requires_grad_() for view in views]
    expected = torch.zeros((), dtype=torch.float64)
    for copy in copies:
        for row, anchor in enumerate(ids):
            cosine = (copy[row] * teacher[anchor]).sum() / copy[row].norm()
            expected = expected + 2.0 * (1 - cosine) / 3 / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    expected.backward()
    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_allclose(view.grad, copy.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 3e38])
def test_loss_is_finite_whatever_finite_numbers_a_neighbour_sends(
    make_learner, message, draw, value
):
    learner, views = make_learner(), (draw(3, 5).requires_grad_(),)
    hear(learner, message, torch.full((6, 7), value))
    loss = EXCHANGE.loss(learner, AnchorBatch(torch.arange(3), views), np.random.default_rng(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(views[0].grad).all()


def test_nothing_is_learnt_before_the_first_exchange(make_learner, draw):
    batch = AnchorBatch(torch.arange(3), (draw(3, 5),))
    assert EXCHANGE.loss(make_learner(), batch, np.random.default_rng(0)) is None


def test_unlike_widths_need_no_head():
    assert EXCHANGE.heads(frozenset({64, 128})) == Heads()
