"""Distillation of aligned embeddings of anchors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.anchors.embedding_distillation import EmbeddingDistillation, align
from agents.exchange.base import AnchorBatch, Heads
from protocols.messages import Embeddings
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode

EXCHANGE = EmbeddingDistillation(ramp=1)
DOWN = EmbeddingDistillation(ramp=1, direction="down")
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def unit(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(values, dim=-1)


def own_embeddings(agent) -> torch.Tensor:
    return unit(agent.embed_anchors(2, 1).mean(dim=0))


def slow_align(theirs: torch.Tensor, mine: torch.Tensor) -> torch.Tensor:
    """Pad to one width with zeros, and rotate as scipy does."""
    width = max(theirs.shape[1], mine.shape[1])
    padded = [
        np.pad(each.double().numpy(), [(0, 0), (0, width - each.shape[1])])
        for each in (theirs, mine)
    ]
    turned = padded[0] @ orthogonal_procrustes(*padded)[0]
    return unit(torch.from_numpy(turned[:, : mine.shape[1]])).float()


def test_rotated_embeddings_are_turned_back(draw):
    mine = unit(draw(9, 4))
    rotation, _ = torch.linalg.qr(draw(4, 4))
    torch.testing.assert_close(align(mine @ rotation, mine), mine, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("theirs", "mine"), [(4, 4), (6, 4), (3, 5)])
def test_alignment_equals_that_of_scipy_padded_with_zeros(draw, theirs, mine):
    sent, own = unit(draw(12, theirs)), unit(draw(12, mine))
    torch.testing.assert_close(align(sent, own), slow_align(sent, own), rtol=1e-4, atol=1e-5)


def test_wider_axes_keep_all_cosines_of_narrower_embeddings(draw):
    sent, own = unit(draw(12, 3)), unit(draw(12, 5))
    turned = align(sent, own)
    torch.testing.assert_close(turned @ turned.T, sent @ sent.T, rtol=1e-4, atol=1e-5)


def test_peers_learn_from_the_mean_of_their_aligned_neighbours(make_society):
    society = make_society(EXCHANGE, Ring(), widths=("nano", "tiny"))
    agents = society.host.agents
    own = {id: own_embeddings(agents[id]) for id in range(7)}
    assert {values.shape[1] for values in own.values()} == {64, 128}
    society.run(1)
    for id in range(7):
        aligned = [align(own[other], own[id]) for other in ((id - 1) % 7, (id + 1) % 7)]
        expected = unit((aligned[0] + aligned[1]) / 2)
        torch.testing.assert_close(
            agents[id].exchange_state.teacher, expected, rtol=1e-3, atol=1e-4
        )


def test_trees_average_on_the_way_up_and_send_the_roots_mean_down_as_it_is(make_society):
    society = make_society(EXCHANGE, Layered(), widths=("nano", "tiny"))
    agents = society.host.agents
    own = {id: own_embeddings(agents[id]) for id in range(7)}
    society.run(1)
    children = {1: (3, 4), 2: (5, 6), 0: (1, 2)}
    said = dict(own)
    for parent, below in children.items():
        aligned = [align(said[id], own[parent]) for id in below]
        said[parent] = unit(torch.stack([own[parent], *aligned]).mean(dim=0))
    top = unit(torch.stack(aligned).mean(dim=0))  # the root learns from the others
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(agents[0].exchange_state.teacher, top, **close)
    root = agents[0].exchange_state.passed_on
    torch.testing.assert_close(root, said[0], **close)
    for id in range(1, 7):
        expected = align(root, own[id])
        torch.testing.assert_close(agents[id].exchange_state.teacher, expected, **close)
    assert torch.allclose(agents[2].exchange_state.passed_on, root)


@pytest.mark.parametrize("topology", [MasterSlave(master=3), Layered()], ids=lambda t: t.kind)
def test_only_the_top_teaches_where_teaching_flows_down(make_society, topology):
    society = make_society(DOWN, topology, widths=("nano", "tiny"))
    agents, top = society.host.agents, {"master_slave": 3, "layered": 0}[topology.kind]
    own = {id: own_embeddings(agents[id]) for id in range(7)}
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        if scheduled.hop.direction is Direction.UP:
            assert outbox.envelopes == ()
            continue
        for receiver in {receiver for _, receiver in scheduled.hop.edges}:
            (buffer,) = society.addressed(outbox, receiver)
            sent = torch.from_numpy(np.array(decode(buffer).payload.values[0]))
            torch.testing.assert_close(sent, own[top], rtol=1e-4, atol=1e-5)
            assert society.deliver(scheduled, receiver, [buffer]) == []
    assert agents[top].exchange_state.teacher is None
    for id in set(range(7)) - {top}:
        expected = align(own[top], own[id])
        torch.testing.assert_close(
            agents[id].exchange_state.teacher, expected, rtol=1e-3, atol=1e-4
        )


def hear(learner, message, values) -> None:
    payload = Embeddings(values=values[None].numpy())
    EXCHANGE.merge(learner, [message(payload, 1)], PEER)


def test_loss_is_the_cross_entropy_between_similarities_to_the_teachers_anchors(
    make_learner, message, draw
):
    exchange = EmbeddingDistillation(ramp=1, weight=2.0, temperature=0.3, teacher_temperature=0.1)
    learner, ids = make_learner(), [4, 0, 5]
    hear(learner, message, draw(6, 3))
    views = tuple(draw(3, 5).requires_grad_() for _ in range(2))
    batch = AnchorBatch(torch.tensor(ids), views)
    loss = exchange.loss(learner, batch, np.random.default_rng(0))
    teacher = learner.exchange_state.teacher.double()
    copies = [view.detach().double().requires_grad_() for view in views]
    expected = torch.zeros((), dtype=torch.float64)
    for copy in copies:
        for row, anchor in enumerate(ids):
            target = torch.exp(teacher @ teacher[anchor] / 0.1)
            own = torch.exp(teacher @ copy[row] / copy[row].norm() / 0.3)
            entropy = (target / target.sum() * torch.log(own / own.sum())).sum()
            expected = expected - 2.0 * entropy / 3 / 2
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


def test_teaching_downwards_is_refused_among_peers_and_only_there():
    def society(topology) -> Society:
        return Society((EncoderConfig(),), 256, 64, network=topology.build(7, seed=0))

    with pytest.raises(ValueError, match=r"exchange\.direction=down.*peers have no root"):
        DOWN.check(society(Ring()))
    DOWN.check(society(Layered()))
    EXCHANGE.check(society(Ring()))
