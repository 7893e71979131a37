from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.exchange import Turn
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.base import AnchorBatch
from agents.exchange.trust import Agreement, audit_anchors, overlap, without_audit
from agents.objectives import functional
from protocols.topologies.hops import Direction

PEER = Turn(round=1, hop=0, direction=Direction.PEER)
UP = Turn(round=1, hop=0, direction=Direction.UP)
ANCHORS = 40
TRUSTING = Agreement(neighbours=4)


@pytest.fixture
def make_relative(make_learner, draw):
    """Make agents that see 40 anchors much as agent 0 does, up to a rotation and noise."""
    mine = draw(2, ANCHORS, 8)
    rotation = torch.linalg.qr(draw(8, 8))[0]

    def make(noise, **fields):
        learner = make_learner(crops=2, anchors=ANCHORS, width=8, **fields)
        seen = mine @ rotation + noise * draw(2, ANCHORS, 8)
        learner._embeddings = torch.nn.functional.normalize(seen, dim=-1)
        return learner

    return make


def slow_overlap(mine, theirs, rows, neighbours) -> float:
    shares = []
    for row in rows:
        nearest = [
            sorted((i for i in range(len(mine)) if i != row), key=lambda i: -table[row, i])
            for table in (mine, theirs)
        ]
        common = set(nearest[0][:neighbours]) & set(nearest[1][:neighbours])
        shares.append(len(common) / neighbours)
    return float(np.mean(shares))


@pytest.mark.parametrize("neighbours", [1, 3, 8])
def test_overlap_equals_the_loop_over_sorted_neighbours(draw, neighbours):
    mine, theirs = draw(9, 9), draw(9, 9)
    rows = torch.tensor([0, 4, 7])
    expected = slow_overlap(mine.numpy(), theirs.numpy(), rows.tolist(), neighbours)
    assert overlap(mine, theirs, rows, neighbours) == pytest.approx(expected)
    assert overlap(mine, 5 * mine - 1, rows, neighbours) == 1.0
    assert overlap(mine, theirs, rows, 20) == 1.0, "all others are among the nearest 20"


def test_audit_anchors_are_a_share_that_everybody_draws_alike(make_learner):
    learner, other = make_learner(anchors=40), make_learner(anchors=40, id=5)
    held = audit_anchors(learner, 0.25)
    assert len(set(held.tolist())) == 10
    assert (held == audit_anchors(other, 0.25)).all()
    other.seed = 1
    assert (held != audit_anchors(other, 0.25)).any()
    assert len(audit_anchors(make_learner(anchors=4), 0.01)) == 1


def test_batch_without_audit_anchors_holds_the_others(make_learner, draw):
    learner, views = make_learner(anchors=40), (draw(40, 3), draw(40, 3))
    everything = AnchorBatch(torch.arange(40), views)
    held = audit_anchors(learner, 0.25)
    left = without_audit(learner, everything, 0.25)
    assert left.ids.tolist() == [id for id in range(40) if id not in held]
    for view, kept in zip(views, left.pooled, strict=True):
        assert torch.equal(kept, view[left.ids])
    assert without_audit(learner, everything, 0.0) is everything


@pytest.mark.parametrize("kind", [AnchorContrast, AnchorSimilarity])
def test_neighbour_that_sends_noise_has_almost_no_weight(kind, make_relative, message):
    exchange = kind(trust=TRUSTING)
    me = make_relative(0.1)
    others = [make_relative(0.1, id=1), make_relative(100.0, id=2), make_relative(0.1, id=3)]
    inbox = [message(exchange.compose(other, PEER), other.id) for other in others]
    exchange.merge(me, inbox, PEER)
    if kind is AnchorContrast:
        shares = me.exchange_state.shares
    else:
        parts = [part for m in inbox for part in exchange.unpack(m.payload, me)]
        shares = [weight / 3 for _, weight in exchange.judge(me, parts, PEER)]
        expected = sum(s * values for s, (values, _) in zip(shares, parts, strict=True))
        torch.testing.assert_close(me.exchange_state.teacher, expected)
    assert sum(shares) == pytest.approx(1.0)
    assert shares[1] < 0.01
    assert min(shares[0], shares[2]) > 0.1


def test_shares_are_a_softmax_of_the_overlaps_on_audit_anchors(make_relative, message):
    exchange = AnchorSimilarity(trust=Agreement(neighbours=4, temperature=0.3, audit=0.5))
    me, others = make_relative(0.3), [make_relative(noise, id=1) for noise in (0.3, 1.0)]
    similar = [
        functional.similarity_distribution(each.embed_anchors(2, 1).mean(dim=0), 0.1)
        for each in (me, *others)
    ]
    rows = audit_anchors(me, 0.5)
    scores = [
        math.exp(slow_overlap(similar[0].numpy(), theirs.numpy(), rows, 4) / 0.3)
        for theirs in similar[1:]
    ]
    shares = exchange.trust.shares(me, lambda: similar[0], similar[1:])
    assert shares == pytest.approx([score / sum(scores) for score in scores])


def test_contrast_draws_neighbours_as_often_as_it_trusts_them(make_relative, message):
    exchange = AnchorContrast(trust=TRUSTING, ramp=1, temperature=0.5)
    me = make_relative(0.1)
    banks = {1: make_relative(0.1, id=1), 2: make_relative(100.0, id=2)}
    inbox = [message(exchange.compose(other, PEER), id) for id, other in banks.items()]
    exchange.merge(me, inbox, PEER)
    kept = [id for id in range(ANCHORS) if id not in audit_anchors(me, 0.25)][:5]
    ids = torch.tensor([*kept, int(audit_anchors(me, 0.25)[0])])
    views = (me.embed_anchors(2, 1)[0][ids],)
    trusted = {
        functional.bank_contrast(views[0][:5], crop, ids[:5], 0.5).item()
        for crop in banks[1].embed_anchors(2, 1)
    }
    losses = [
        exchange.loss(me, AnchorBatch(ids, views), np.random.default_rng(seed)).item()
        for seed in range(20)
    ]
    assert all(min(abs(loss - each) for each in trusted) < 1e-5 for loss in losses)


@pytest.mark.parametrize("kind", [AnchorContrast, AnchorSimilarity])
def test_batch_of_audit_anchors_alone_teaches_nothing(kind, make_relative, message, draw):
    exchange, me = kind(trust=TRUSTING), make_relative(0.1)
    exchange.merge(me, [message(exchange.compose(make_relative(0.1, id=1), PEER), 1)], PEER)
    ids = torch.from_numpy(audit_anchors(me, 0.25))
    batch = AnchorBatch(ids, (draw(len(ids), 8),))
    assert exchange.loss(me, batch, np.random.default_rng(0)) is None


def test_parents_weigh_children_by_trust_and_pass_it_on(make_relative, message):
    exchange = AnchorSimilarity(trust=TRUSTING)
    me, good, bad = make_relative(0.1), make_relative(0.1, id=1), make_relative(100.0, id=2)
    inbox = [message(exchange.compose(other, UP), other.id) for other in (good, bad)]
    exchange.merge(me, inbox, UP)
    said = exchange.compose(me, UP)
    mine, theirs = (exchange.compose(each, PEER).values for each in (me, good))
    assert said.weight == pytest.approx(3.0)
    np.testing.assert_allclose(said.values, (mine + 2 * theirs) / 3, atol=0.02)


def test_equal_trust_and_a_lone_neighbour_leave_weights_alone(make_relative):
    me, other = make_relative(0.1), torch.eye(ANCHORS)
    assert TRUSTING.shares(me, lambda: other, [other]) is None
    assert AnchorSimilarity().trust.shares(me, lambda: other, [other, other]) is None
