from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.anchors.ranked_neighbours import RankedNeighbours, fuse, rank
from agents.exchange.base import AnchorBatch
from protocols.messages import Rankings
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode

EXCHANGE = RankedNeighbours(length=4)
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def slow_rank(embeddings, length, temperature):
    """Return, for each anchor, a dict from its nearest others to scores."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    lists = []
    for i, mine in enumerate(unit):
        others = sorted((j for j in range(len(unit)) if j != i), key=lambda j: -(mine @ unit[j]))
        scores = {j: math.exp(mine @ unit[j] / temperature) for j in others[:length]}
        total = sum(scores.values())
        lists.append({j: score / total for j, score in scores.items()})
    return lists


def slow_fuse(rankings, length):
    """Return the fused list of each anchor, and its agreement, a mean over pairs of senders."""
    fused, agreement = [], []
    for lists in zip(*rankings, strict=True):
        candidates = {j for each in lists for j in each}
        scores = {j: sum(each.get(j, 0.0) for each in lists) / len(lists) for j in candidates}
        best = sorted(candidates, key=lambda j: -scores[j])[:length]
        total = sum(scores[j] for j in best)
        fused.append({j: scores[j] / total for j in best})
        pairs = [len(set(a) & set(b)) / length for a, b in itertools.combinations(lists, 2)]
        agreement.append(float(np.mean(pairs)) if pairs else 1.0)
    return fused, agreement


def as_dicts(ids, scores):
    return [
        dict(zip(row.tolist(), values.tolist(), strict=True))
        for row, values in zip(ids, scores, strict=True)
    ]


def assert_same_lists(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert one.keys() == other.keys()
        assert [one[j] for j in sorted(one)] == pytest.approx([other[j] for j in sorted(one)], 1e-4)


def said_by(society, id, round=1):
    agent = society.host.agents[id]
    mean = agent.embed_anchors(2, round).mean(dim=0).numpy().astype(np.float64)
    return slow_rank(mean, 4, 0.1)


def assert_teacher(society, id, senders):
    ids, scores, agreement = society.host.agents[id].exchange_state.teacher
    fused, agreed = slow_fuse([said_by(society, sender) for sender in senders], 4)
    assert_same_lists(as_dicts(ids, scores), fused)
    np.testing.assert_allclose(agreement, agreed, rtol=1e-5)


def test_lists_name_the_nearest_others_best_first(draw):
    embeddings = torch.nn.functional.normalize(draw(7, 4), dim=-1)
    ids, scores, agreement = rank(embeddings, 3, 0.2)
    assert_same_lists(as_dicts(ids, scores), slow_rank(embeddings.numpy(), 3, 0.2))
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    assert (agreement == 1).all()


@pytest.mark.parametrize("senders", [1, 2, 3, 5])
def test_fused_lists_and_agreement_equal_the_loops(draw, senders):
    several = [torch.nn.functional.normalize(draw(9, 3), dim=-1) for _ in range(senders)]
    ids, scores, agreement = fuse([rank(each, 4, 0.3) for each in several])
    fused, agreed = slow_fuse([slow_rank(each.numpy(), 4, 0.3) for each in several], 4)
    assert_same_lists(as_dicts(ids, scores), fused)
    np.testing.assert_allclose(agreement, agreed, rtol=1e-6)


def test_agreement_is_one_for_equal_lists_and_their_chance_overlap_for_noise(draw):
    one = rank(torch.nn.functional.normalize(draw(60, 4), dim=-1), 6, 0.1)
    assert torch.equal(fuse([one, one, one])[2], torch.ones(60))
    many = [rank(torch.nn.functional.normalize(draw(60, 50), dim=-1), 6, 0.1) for _ in range(8)]
    assert fuse(many)[2].mean().item() == pytest.approx(6 / 59, abs=0.02)


def test_peers_fuse_what_their_neighbours_rank(make_society):
    society = make_society(EXCHANGE, Ring())
    society.run(1)
    for id in range(7):
        assert_teacher(society, id, [(id - 1) % 7, (id + 1) % 7])


@pytest.mark.parametrize(
    ("topology", "top"),
    [(MasterSlave(master=3), 3), (Layered(), 0), (Layered(levels=(1, 1, 2, 3)), 0)],
    ids=["master_slave", "branching 2", "four levels"],
)
def test_trees_fuse_everybodys_lists_without_loss(make_society, topology, top):
    society = make_society(EXCHANGE, topology)
    society.run(1)
    for id in set(range(7)) - {top}:
        assert_teacher(society, id, range(7))
    assert_teacher(society, top, set(range(7)) - {top})


def test_messages_up_hold_a_list_of_every_agent_below_and_down_one(make_society):
    society = make_society(EXCHANGE, Layered())
    said = {}
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        for (envelope, recipients, *_), buffer in zip(outbox.sent(), outbox.handle, strict=True):
            payload = decode(buffer).payload
            assert isinstance(payload, Rankings)
            said[scheduled.hop.direction, envelope.sender] = len(payload.ids)
            for agent in recipients:
                society.deliver(scheduled, agent, [])
        for agent in {receiver for _, receiver in scheduled.hop.edges}:
            assert society.deliver(scheduled, agent, society.addressed(outbox, agent)) == []
    up, down = Direction.UP, Direction.DOWN
    assert {key: value for key, value in said.items() if key[0] == up} == {
        **{(up, leaf): 1 for leaf in (3, 4, 5, 6)},
        **{(up, relay): 3 for relay in (1, 2)},
    }
    assert {value for (direction, _), value in said.items() if direction == down} == {1}


def slow_loss(own, views, ids, teacher, least, temperature):
    """ListNet over the fused candidates, loops over views and anchors that are agreed upon."""
    lists, agreement = teacher
    total, count = 0.0, 0
    for view in views:
        for row, anchor in zip(view, ids, strict=True):
            if agreement[anchor] < least:
                continue
            unit = row / np.linalg.norm(row)
            scores = {j: unit @ own[j] / temperature for j in lists[anchor]}
            log_z = math.log(sum(math.exp(score) for score in scores.values()))
            total -= sum(p * (scores[j] - log_z) for j, p in lists[anchor].items())
            count += 1
    return total / count


@pytest.mark.parametrize("least", [0.0, 0.5])
def test_loss_and_gradient_equal_the_loops_where_senders_agree(make_learner, message, draw, least):
    exchange = RankedNeighbours(
        length=3, temperature=0.3, weight=2.0, ramp=1, least_agreement=least
    )
    learner, others = make_learner(anchors=8), [make_learner(anchors=8, id=id) for id in (1, 2)]
    inbox = [message(exchange.compose(other, PEER), other.id) for other in others]
    exchange.merge(learner, inbox, PEER)
    ids, state = [6, 0, 3, 5, 1], learner.exchange_state
    state.own = (1, state.own[1].double())
    state.teacher = (state.teacher[0], *(each.double() for each in state.teacher[1:]))
    views = (draw(5, 5).double().requires_grad_(), draw(5, 5).double().requires_grad_())
    loss = exchange.loss(learner, AnchorBatch(torch.tensor(ids), views), np.random.default_rng(0))
    means = [each.embed_anchors(2, 1).mean(dim=0).double().numpy() for each in (learner, *others)]
    own = means[0] / np.linalg.norm(means[0], axis=1, keepdims=True)
    teacher = slow_fuse([slow_rank(mean, 3, 0.3) for mean in means[1:]], 3)
    agreed = [row for row, anchor in enumerate(ids) if teacher[1][anchor] >= least]
    assert len(agreed) == 5 if least == 0.0 else 0 < len(agreed) < 5

    def slow(first):
        return 2.0 * slow_loss(own, [first, views[1].detach().numpy()], ids, teacher, least, 0.3)

    first = views[0].detach().numpy()
    assert loss.item() == pytest.approx(slow(first), rel=1e-5)
    loss.backward()
    for index in np.ndindex(first.shape):
        step = np.zeros_like(first)
        step[index] = 1e-5
        numeric = (slow(first + step) - slow(first - step)) / 2e-5
        assert views[0].grad[index].item() == pytest.approx(numeric, rel=1e-3, abs=1e-5)
    left_out = [row for row in range(5) if row not in agreed]
    assert (views[0].grad[left_out] == 0).all()


def test_nothing_is_learnt_where_all_anchors_are_disputed(make_learner, message, draw):
    exchange = RankedNeighbours(length=2, least_agreement=1.0)
    learner = make_learner(anchors=12)
    others = [make_learner(anchors=12, id=id) for id in (1, 2, 3)]
    inbox = [message(exchange.compose(other, PEER), other.id) for other in others]
    exchange.merge(learner, inbox, PEER)
    batch = AnchorBatch(torch.arange(4), (draw(4, 5),))
    assert exchange.loss(learner, batch, np.random.default_rng(0)) is None
    # Nor where nothing was heard, whether or not something was said.
    assert exchange.loss(make_learner(), batch, np.random.default_rng(0)) is None
    assert exchange.loss(others[0], batch, np.random.default_rng(0)) is None


def test_candidates_are_compared_with_what_the_agent_last_sent_from(make_learner, message):
    learner, other = make_learner(), make_learner(id=1)
    exchange = RankedNeighbours(length=2)
    for round in (1, 2):
        turn = Turn(round=round, hop=0, direction=Direction.PEER)
        learner._embeddings = learner._embeddings.roll(round, 1)
        exchange.compose(learner, turn)
        exchange.merge(learner, [message(exchange.compose(other, turn), 1, round)], turn)
        mean = learner.embed_anchors(2, round).mean(dim=0)
        expected = torch.nn.functional.normalize(mean, dim=-1)
        assert learner.exchange_state.own[0] == round
        torch.testing.assert_close(learner.exchange_state.own[1], expected)


def test_scores_of_any_size_become_shares(make_learner):
    huge = np.full((1, 6, 2), 3e38, np.float32)
    ids = np.array([[[1, 2], [2, 0], [0, 1], [1, 2], [1, 2], [1, 2]]], np.int32)
    payload = Rankings(scores=huge, ids=ids, agreement=np.ones((1, 6), np.float32))
    payload.check_values()
    (((_, scores, _), weight),) = EXCHANGE.unpack(payload, make_learner())
    assert (scores == 0.5).all()
    assert weight == 1.0


def test_few_anchors_and_few_of_them_in_a_batch_are_refused():
    like, exchange = (EncoderConfig(preset="nano"),) * 2, AnchorContrast(anchor_share=0.5)
    with pytest.raises(ValueError, match=r"data\.anchors is 3"):
        exchange.check(Society(like, anchors=3, batch_size=64))
    with pytest.raises(ValueError, match="fewer than 3 anchors in a batch"):
        exchange.check(Society(like, anchors=4, batch_size=5))
    exchange.check(Society(like, anchors=4, batch_size=6))


def test_lists_as_long_as_the_set_of_anchors_are_refused():
    like = (EncoderConfig(preset="nano"),) * 2
    with pytest.raises(ValueError, match=r"exchange\.length 10 needs more anchors"):
        RankedNeighbours().check(Society(like, anchors=10, batch_size=64))
    RankedNeighbours().check(Society(like, anchors=11, batch_size=64))
