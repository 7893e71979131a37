"""Messages of other rounds: which are accepted, and what a stale one counts for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.exchange import EXCHANGES, Turn
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.anchors.fedproto import FedProto
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.hybrid import Hybrid
from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.staleness import Staleness
from agents.hosting.delivery import Delivery
from protocols.messages import Message, Prototypes, SimilarityTargets, Weights
from protocols.topologies.hops import Direction
from protocols.topologies.peer import Ring

PEER = Turn(round=9, hop=0, direction=Direction.PEER)
STALE = replace(PEER, discounts={2: 0.5})


def test_window_reaches_from_the_bound_to_the_last_round():
    rule = Staleness(bound=3, discount=1.0, rounds=20)
    assert [rule.accepted(round) for round in (1, 4, 9)] == [(1, 20), (1, 20), (6, 20)]
    assert [rule.factor(age) for age in (0, 1, 3)] == [1.0, 0.5, 0.25]
    assert Staleness(bound=3, discount=0.0, rounds=20).factor(3) == 1.0


def delivered(society, round: int, said: int, rule: Staleness | None) -> list[str]:
    """Let agents 0 and 1 of a ring end a round each, 1 another one; return why 0 rejects what 1 says."""
    (scheduled,) = society.scheduled_hops(said)
    sent = society.host.compose({1: (society.turn(scheduled, 1), (0,))})
    turn = society.turn(replace(scheduled, round=round), 0)
    delivery = Delivery(turn, frozenset({1, 6}), ((0, 0),), rule)
    return society.host.merge([sent.handle], {0: delivery})[0]


@pytest.mark.parametrize(
    ("round", "said", "factor"), [(5, 5, 1.0), (3, 5, 1.0), (5, 4, 2**-0.5), (5, 2, 4**-0.5)]
)
def test_stale_parameters_mix_by_their_age_and_the_rest_stays_ones_own(
    make_society, round, said, factor
):
    society = make_society(FedAvg(), Ring())
    own, other = (society.host.agents[id].parameters.double().numpy() for id in (0, 1))
    rule = Staleness(bound=3, discount=0.5, rounds=5)
    assert delivered(society, round, said, rule) == []
    expected = own + factor / 3 * (other - own)  # each of two neighbours mixes in by a third
    found = society.host.agents[0].parameters.double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("round", "said", "bound"), [(5, 1, 3), (5, 4, 0), (2, 6, 3), (5, 4, None), (4, 5, None)]
)
def test_rounds_that_are_not_allowed_are_rejected(make_society, round, said, bound):
    society = make_society(FedAvg(), Ring())
    before = society.host.agents[0].parameters.clone()
    rule = None if bound is None else Staleness(bound, discount=0.5, rounds=5)
    assert delivered(society, round, said, rule) == ["round"]
    assert torch.equal(society.host.agents[0].parameters, before)


def test_master_weighs_stale_parameters_by_documents_times_their_factor(make_learner):
    learner = make_learner(parameters=torch.tensor([1.0, 0.0, 0.0, 0.0]), examples=2)
    up = Turn(round=9, hop=0, direction=Direction.UP, is_top=True, discounts={2: 0.5})
    values = np.eye(4, dtype=np.float32)
    inbox = [message_of(Weights(values=values[i], weight=4.0, layout="layout"), i) for i in (1, 2)]
    FedAvg().merge(learner, inbox, up)
    # 2 documents of its own, 4 of agent 1, and 4 times a half of agent 2.
    assert learner.parameters.tolist() == [2 / 8, 4 / 8, 2 / 8, 0.0]


def message_of(payload, sender: int):
    return Message.compose(payload, sender=sender, round=1, hop=0)


def test_stale_bank_is_drawn_less_often(make_learner):
    exchange, learner = AnchorContrast(), make_learner()
    payloads = {id: exchange.compose(make_learner(id=id), PEER) for id in (1, 2, 3)}
    inbox = [message_of(payloads[id], id) for id in (1, 2)]
    exchange.merge(learner, inbox, PEER)
    assert learner.exchange_state.shares is None
    assert learner.exchange_state.discounts == {}
    later = replace(STALE, round=10)
    exchange.merge(learner, inbox, later)
    assert learner.exchange_state.shares == pytest.approx([2 / 3, 1 / 3])
    # What was stale on one hop of a round stays so on the next.
    exchange.merge(learner, [message_of(payloads[3], 3)], replace(later, hop=1, discounts={}))
    assert learner.exchange_state.shares == pytest.approx([0.4, 0.2, 0.4])


def test_stale_summary_counts_for_less_in_the_teacher(make_learner):
    learner = make_learner(anchors=3)
    said = [np.roll(np.eye(3, dtype=np.float32), i, axis=1) for i in (1, 2)]
    inbox = [
        message_of(SimilarityTargets(values=each, weight=1.0), sender)
        for sender, each in enumerate(said, start=1)
    ]
    AnchorSimilarity().merge(learner, inbox, STALE)
    np.testing.assert_allclose(
        learner.exchange_state.teacher, (2 * said[0] + said[1]) / 3, rtol=1e-6
    )


def test_stale_prototypes_stand_for_fewer_texts(make_learner):
    learner = make_learner(anchors=4, width=2, clusters=[0, 0, 1, 1])
    exchange = FedProto(classes=2)
    own, _ = exchange.own_centroids(learner, PEER)
    values = np.zeros((2, 2), np.float32)
    inbox = [message_of(Prototypes(values=values, counts=np.full(2, 4, np.float32)), 2)]
    exchange.merge(learner, inbox, STALE)
    fused, counts = learner.exchange_state.fused
    assert counts.tolist() == [4.0, 4.0]  # 2 of its own, and 4 times a half
    np.testing.assert_allclose(fused, own / 2, rtol=1e-6)


def test_strategies_say_whether_they_can_weigh_by_age():
    able = {kind for kind, cls in EXCHANGES.items() if kind in ALONE and cls().asynchronous}
    assert able == ALONE - {
        "codistillation",
        "ranked_neighbours",
        "secure_fedavg",
        "secure_pseudo_labels",
        "embedding_distillation",
        "dcco",
        "sparta",
        "demo",
    }
    assert not FedAvg(fusion="median").asynchronous
    assert not PseudoLabelExchange(fusion="majority").asynchronous
    assert Hybrid(strategies=["fedavg", "anchor_contrast"]).asynchronous
    assert not Hybrid(strategies=["fedavg", "codistillation"]).asynchronous


ALONE = {*EXCHANGES} - {"hybrid", "cross_negatives"}
"""Kinds that need no parameters."""
