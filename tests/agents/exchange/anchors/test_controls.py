"""The controls of a study: one's own old knowledge, and a teacher without correspondence."""

from __future__ import annotations

import numpy as np
import pytest

from agents.exchange import EXCHANGES, Turn
from agents.exchange.anchors.anchor_contrast import AnchorContrastState
from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.anchors.controls import derangement, own, shuffled
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.peer import Ring

SETTINGS = {
    "pseudo_labels": {"classes": 4, "confidence": 0.0},
    "fedmd": {"classes": 4},
    "dsfl": {"classes": 4},
    "ranked_neighbours": {"length": 4, "least_agreement": 0.0},
}
KINDS = [
    "anchor_contrast",
    "anchor_similarity",
    "pseudo_labels",
    "fedmd",
    "dsfl",
    "codistillation",
    "ranked_neighbours",
]
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def make_exchange(kind, **fields):
    return EXCHANGES[kind](**SETTINGS.get(kind, {}), **fields)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return value.numpy() if hasattr(value, "numpy") else value


def learnt(state) -> list[np.ndarray]:
    """Return what an agent will learn from, as arrays."""
    kept = state.banks if isinstance(state, AnchorContrastState) else state.teacher
    values = list(kept.values()) if isinstance(kept, dict) else kept
    return [
        np.asarray(each) for each in (values if isinstance(values, (tuple, list)) else [values])
    ]


@pytest.mark.parametrize("topology", [Ring(), Layered()], ids=lambda topology: topology.kind)
@pytest.mark.parametrize("kind", KINDS)
def test_own_teacher_sends_no_byte_and_is_what_the_agent_would_have_said(
    kind, topology, make_society
):
    exchange = make_exchange(kind, teacher="own")
    society = make_society(exchange, topology)
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        assert outbox.envelopes == ()
        for agent in sorted({receiver for _, receiver in scheduled.hop.edges}):
            assert society.deliver(scheduled, agent, []) == []
    reference = make_exchange(kind)
    for agent in society.host.agents.values():
        kept = agent.exchange_state
        agent.state.exchange = [reference.initial_state(agent)]
        reference.merge(agent, own(agent, reference.compose(agent, PEER), PEER), PEER)
        alone = learnt(agent.exchange_state)
        for mine, expected in zip(learnt(kept), alone, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)
        agent.state.exchange = [kept]
    losses = [metrics["exchange_loss"] for metrics in society.train(2).values()]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_teacher_hears_the_same_bytes_about_other_anchors(kind, make_society):
    heard, sizes = {}, {}
    for teacher in ("neighbours", "shuffled"):
        exchange = make_exchange(kind, teacher=teacher)
        society = make_society(exchange, Ring())
        (scheduled,) = society.scheduled_hops(1)
        sizes[teacher] = society.compose(scheduled).payload_bytes
        society.run(1)
        heard[teacher] = learnt(society.host.agents[0].exchange_state)
        losses = [metrics["exchange_loss"] for metrics in society.train(2).values()]
        assert np.isfinite(losses).all()
    assert sizes["neighbours"] == sizes["shuffled"]
    assert not np.allclose(heard["neighbours"][0], heard["shuffled"][0])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ranked_neighbours"])
def test_shuffled_messages_hold_what_was_sent_in_another_order(kind, make_learner, message):
    exchange = make_exchange(kind)
    learner, other = (make_learner(anchors=8, clusters=[0, 1, 2, 3] * 2, id=id) for id in (0, 1))
    (sent,) = [message(exchange.compose(other, PEER), 1)]
    (moved,) = shuffled(learner, [sent], PEER)
    assert moved.envelope == sent.envelope
    (name, *_) = sent.payload.array_fields
    before, after = (getattr(m.payload, name) for m in (sent, moved))
    np.testing.assert_array_equal(np.sort(before, axis=None), np.sort(after, axis=None))
    assert not np.array_equal(before, after)
    moved.payload.check_values()


def test_order_depends_on_seed_agent_round_and_hop_alone(make_learner, message):
    learner = make_learner(anchors=8)
    sent = message(make_exchange("anchor_contrast").compose(make_learner(anchors=8), PEER), 1)

    def order(seed=0, id=0, round=1, hop=0):
        learner.seed, learner.id = seed, id
        turn = Turn(round=round, hop=hop, direction=Direction.PEER)
        return shuffled(learner, [sent], turn)[0].payload.values.tobytes()

    assert order() == order()
    assert len({order(), order(seed=1), order(id=1), order(round=2), order(hop=1)}) == 5


@pytest.mark.parametrize("count", [2, 3, 12])
def test_derangement_leaves_nothing_in_its_place(count):
    for seed in range(20):
        order = derangement(count, np.random.default_rng(seed))
        assert sorted(order.tolist()) == list(range(count))
        assert (order != np.arange(count)).all()


def test_every_strategy_about_anchors_has_the_controls():
    for kind, cls in EXCHANGES.items():
        if issubclass(cls, AnchorExchange):
            assert make_exchange(kind, teacher="own").teacher == "own"
