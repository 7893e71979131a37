from __future__ import annotations

import pytest

from agents.config import EncoderConfig
from agents.exchange import EXCHANGES, Society, Turn
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.anchor_similarity import AnchorSimilarity
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.base import Heads
from agents.exchange.isolated import Isolated
from agents.exchange.parameters.fedavg import FedAvg
from protocols.topologies.hops import Direction

NANO, TINY = EncoderConfig(preset="nano"), EncoderConfig(preset="tiny")


def due(exchange, rounds: int = 7) -> list[int]:
    return [round for round in range(1, rounds + 1) if exchange.is_due(round, rounds)]


@pytest.mark.parametrize("kind", ["anchor_contrast", "anchor_similarity", "pseudo_labels"])
def test_representations_are_due_on_schedule_and_not_after_the_last_round(kind):
    assert due(EXCHANGES[kind]()) == [1, 2, 3, 4, 5, 6]
    assert due(EXCHANGES[kind](every=3)) == [3, 6]
    assert due(EXCHANGES[kind](every=7)) == []
    assert due(EXCHANGES[kind](every=2, first=3)) == [4, 6]
    assert due(EXCHANGES[kind](first=9)) == []


def test_weights_are_due_on_schedule_and_after_the_last_round():
    assert due(FedAvg()) == [1, 2, 3, 4, 5, 6, 7]
    assert due(FedAvg(every=3)) == [3, 6, 7]
    assert due(FedAvg(every=3, first=4)) == [6, 7]
    assert due(FedAvg(first=8)) == []


def test_isolated_agents_never_exchange():
    assert due(Isolated()) == []


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [(2, [0.0, 0.5, 1.0, 1.0]), (1, [0.0, 1.0, 1.0, 1.0]), (4, [0.0, 0.25, 0.5, 0.75])],
)
def test_weight_rises_over_the_first_exchanges_that_were_heard(
    make_learner, message, ramp, expected
):
    exchange, learner = AnchorContrast(weight=3.0, ramp=ramp), make_learner()
    other = make_learner(id=1)
    weights = [exchange.ramped_weight(learner)]
    for round in (1, 4, 5):
        for hop in (0, 1):  # several hops of one round are one exchange
            turn = Turn(round=round, hop=hop, direction=Direction.PEER)
            payload = exchange.compose(other, turn)
            exchange.merge(learner, [message(payload, 1, round, hop)], turn)
        exchange.merge(learner, [], Turn(round=round + 100, hop=0, direction=Direction.PEER))
        weights.append(exchange.ramped_weight(learner))
    assert weights == pytest.approx([3.0 * value for value in expected])


@pytest.mark.parametrize("kind", ["anchor_contrast", "anchor_similarity", "pseudo_labels"])
def test_too_few_anchors_are_refused_with_the_fields_to_change(kind):
    exchange = EXCHANGES[kind]()
    with pytest.raises(ValueError, match=r"data\.anchors"):
        exchange.check(Society((NANO,) * 2, anchors=3, batch_size=64))
    with pytest.raises(ValueError, match=r"exchange\.anchor_share 0\.25 of training\.batch_size 8"):
        exchange.check(Society((NANO,) * 2, anchors=256, batch_size=8))
    exchange.check(Society((NANO,) * 2, anchors=256, batch_size=12))


def test_more_classes_than_the_anchors_fill_are_refused():
    with pytest.raises(ValueError, match=r"exchange\.classes 16 needs at least 32 anchors"):
        PseudoLabelExchange().check(Society((NANO,), anchors=31, batch_size=64))
    PseudoLabelExchange().check(Society((NANO,), anchors=32, batch_size=64))


def test_weights_of_unlike_encoders_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"nano, tiny.*anchor_contrast"):
        FedAvg().check(Society((NANO, TINY, NANO), anchors=0, batch_size=8))
    FedAvg().check(Society((NANO, NANO), anchors=0, batch_size=8))


def test_heads_are_asked_for_only_where_they_are_needed():
    like, unlike = frozenset({64}), frozenset({64, 128})
    assert AnchorContrast(dimension=32).heads(like) == Heads()
    assert AnchorContrast(dimension=32).heads(unlike) == Heads(exchange_dimension=32)
    assert AnchorSimilarity().heads(unlike) == Heads()
    assert PseudoLabelExchange(classes=5).heads(unlike) == Heads(classes=5)
    assert FedAvg().heads(like) == Isolated().heads(unlike) == Heads()


@pytest.mark.parametrize("kind", ["anchor_contrast", "anchor_similarity", "pseudo_labels"])
def test_anchor_share_is_the_share_of_a_batch(kind):
    assert EXCHANGES[kind](anchor_share=0.4).anchor_fraction == 0.4
    assert FedAvg().anchor_fraction == Isolated().anchor_fraction == 0.0
