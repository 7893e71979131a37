"""Secure aggregation: the same result as without, and nothing else for the master to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.anchors.secure_pseudo_labels import SecurePseudoLabels
from agents.exchange.base import Society
from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.privacy.masks import fixed_point
from agents.exchange.private.secure_fedavg import SecureFedAvg
from protocols.messages import Keys
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.wire.serialize import decode

STAR = MasterSlave(master=3)
LABELS = {"classes": 4, "confidence": 0.0}


def parameters(society):
    return {id: agent.parameters.clone() for id, agent in society.host.agents.items()}


def teachers(society):
    return {id: agent.state.exchange[0].teacher for id, agent in society.host.agents.items()}


def run(society, lost=frozenset()):
    """Take round 1, losing messages given as (pass, is upwards, sender); return those that were sent."""
    sent = []
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        upwards = str(scheduled.hop.direction) == "up"
        kept = {}
        for buffer in outbox.handle:
            message = decode(buffer)
            sent.append((scheduled.passage, upwards, message))
            kept[message.envelope.sender] = buffer
        for agent in sorted({receiver for _, receiver in scheduled.hop.edges}):
            buffers = [
                kept[sender]
                for sender in scheduled.hop.senders(agent)
                if sender in kept and (scheduled.passage, upwards, sender) not in lost
            ]
            assert society.deliver(scheduled, agent, buffers) == []
    return sent


def test_result_is_that_of_fedavg_within_rounding(make_society):
    plain = make_society(FedAvg(), STAR)
    plain.run(1)
    expected = parameters(plain)
    secure = make_society(SecureFedAvg(), STAR)
    run(secure)
    for id, found in parameters(secure).items():
        assert torch.allclose(found, expected[id], atol=1e-6)


@pytest.mark.parametrize("more", [{}, {"fusion": "era"}, {"labels": "own"}], ids=str)
def test_fused_labels_are_those_of_pseudo_labels_within_rounding(make_society, more):
    """Each number of a sum of six is off by 6 * 2^-25 at most, of their mean by 2^-25."""
    plain = make_society(PseudoLabelExchange(**LABELS, **more), STAR)
    plain.run(1)
    expected = teachers(plain)
    secure = make_society(SecurePseudoLabels(**LABELS, **more), STAR)
    run(secure)
    for id, found in teachers(secure).items():
        assert torch.allclose(found, expected[id], atol=1e-6)
    assert secure.train(2)[0]["exchange_loss"] > 0


def test_labels_of_those_that_are_left_are_summed_where_masked_votes_are_lost(make_society):
    exchange = SecurePseudoLabels(**LABELS)
    secure = make_society(exchange, STAR)
    turn = secure.turn(secure.scheduled_hops(1)[0], 0)
    votes = {id: exchange.offered(agent, turn) for id, agent in secure.host.agents.items()}
    run(secure, lost={(1, True, 0), (1, True, 5)})
    expected = np.mean([votes[id] for id in votes if id not in (0, 5)], axis=0)
    assert np.abs(teachers(secure)[1].numpy().ravel() - expected).max() <= 1e-6


def test_the_sum_of_those_that_are_left_is_taken_where_masked_messages_are_lost(make_society):
    secure = make_society(SecureFedAvg(), STAR)
    before = parameters(secure)
    weights = {id: agent.examples for id, agent in secure.host.agents.items()}
    sent = run(secure, lost={(1, True, 0), (1, True, 5)})
    left = [id for id in before if id not in (0, 5)]
    expected = sum(before[id].double() * weights[id] for id in left) / sum(weights[i] for i in left)
    assert torch.allclose(parameters(secure)[3].double(), expected, atol=1e-6)
    revealed = [
        message.payload for passage, upwards, message in sent if (passage, upwards) == (2, True)
    ]
    assert len(revealed) == 4  # every slave that is left
    assert all(isinstance(each, Keys) and each.ids.tolist() == [0, 5] for each in revealed)


@pytest.mark.parametrize(
    "lost",
    [
        {(1, True, id) for id in (0, 1, 2, 4, 5)},  # one slave alone is left
        {(1, True, 0), (2, True, 4)},  # a seed is lost too
        {(0, True, id) for id in (0, 1, 2, 4, 5)},  # one key
    ],
    ids=["one left", "a seed lost", "one key"],
)
def test_agents_keep_what_they_have_where_a_part_would_show_or_masks_would_stay(make_society, lost):
    secure = make_society(SecureFedAvg(), STAR)
    before = parameters(secure)
    run(secure, lost)
    for id, found in parameters(secure).items():
        assert torch.equal(found, before[id])
    secure = make_society(SecurePseudoLabels(**LABELS), STAR)
    run(secure, lost)
    assert set(teachers(secure).values()) == {None}


def test_what_the_master_receives_of_a_slave_is_far_from_its_parameters(make_society):
    """The attack that must fail: decode one message as if it were not masked."""
    secure = make_society(SecureFedAvg(), STAR)
    before = parameters(secure)
    masked = {m.envelope.sender: m.payload for p, up, m in run(secure) if (p, up) == (1, True)}
    for sender, payload in masked.items():
        guess = payload.values.view(np.int64) / 2.0**24 / payload.weight
        correlation = np.corrcoef(guess, before[sender].numpy())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(len(guess))


def test_a_vote_is_hidden_and_the_same_attack_reads_it_without_masks(make_society):
    exchange = SecurePseudoLabels(**LABELS)
    secure = make_society(exchange, STAR)
    turn = secure.turn(secure.scheduled_hops(1)[0], 0)
    vote = exchange.offered(secure.host.agents[0], turn)
    sent = next(m.payload for p, up, m in run(secure) if (p, up) == (1, True))
    hidden = sent.values.view(np.int64) / 2.0**24
    assert abs(np.corrcoef(hidden, vote)[0, 1]) < 5 / np.sqrt(len(vote))
    assert np.corrcoef(fixed_point(vote).view(np.int64) / 2.0**24, vote)[0, 1] > 0.999


def test_other_networks_and_rules_that_need_the_parts_are_refused():
    from agents.config import EncoderConfig

    def society(topology, agents):
        network = topology.build(agents, seed=0)
        return Society((EncoderConfig(),) * agents, 0, 8, network=network)

    for topology, agents in ((Ring(), 5), (MasterSlave(), 2)):
        with pytest.raises(ValueError, match="two slaves or more"):
            SecureFedAvg().check(society(topology, agents))
    with pytest.raises(ValueError, match="fusion median"):
        SecureFedAvg(fusion="median").check(society(MasterSlave(), 5))
    with pytest.raises(ValueError, match="masked integers"):
        SecureFedAvg(privacy={"noise": 1.0})
    with pytest.raises(ValueError, match="fusion majority"):
        SecurePseudoLabels(fusion="majority").check(society(MasterSlave(), 5))
