from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.exchange import Turn
from agents.exchange.isolated import Isolated
from agents.exchange.parameters.diloco import DiLoCo
from agents.exchange.parameters.fedavg import FedAvg
from protocols.messages import Message, Weights
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import ErdosRenyi, Ring
from protocols.topologies.schedule import OnePeerExponential, RandomMatching
from protocols.wire.serialize import decode, encode


def parameters(society) -> np.ndarray:
    """`[7, P]` in float64."""
    agents = [society.host.agents[id] for id in range(7)]
    return np.stack([agent.parameters.double().numpy() for agent in agents])


@pytest.mark.parametrize(
    "topology",
    [Ring(), ErdosRenyi(p=0.5), OnePeerExponential(), RandomMatching()],
    ids=lambda topology: topology.kind,
)
def test_gossip_is_the_mixing_matrix_times_the_parameters(make_society, topology):
    society = make_society(FedAvg(), topology)
    for round in (1, 2, 3):
        before = parameters(society)
        society.run(round)
        expected = society.network.mixing(round) @ before
        np.testing.assert_allclose(parameters(society), expected, rtol=1e-5, atol=1e-7)


def test_gossip_keeps_the_share_of_a_neighbour_that_was_not_heard(make_society):
    society = make_society(FedAvg(), Ring())
    before = parameters(society)
    (scheduled,) = society.scheduled_hops(1)
    outbox = society.compose(scheduled)
    # Agent 0 hears 1 and 6 in thirds; of the two only 6 gets through.
    assert society.deliver(scheduled, 0, [outbox.handle[6]]) == []
    expected = 2 / 3 * before[0] + 1 / 3 * before[6]
    np.testing.assert_allclose(parameters(society)[0], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "topology",
    [MasterSlave(), MasterSlave(master=3), Layered(), Layered(levels=(1, 1, 2, 3))],
    ids=["master 0", "master 3", "branching 2", "four levels"],
)
def test_trees_end_in_the_average_by_documents_of_everybody_for_everybody(make_society, topology):
    society = make_society(FedAvg(), topology)
    before = parameters(society)
    examples = np.array([society.host.agents[id].examples for id in range(7)], dtype=float)
    assert examples.tolist() == [8, 11, 14, 17, 20, 23, 26]
    society.run(1)
    after = parameters(society)
    assert (after == after[0]).all(), "they hold the same bits"
    np.testing.assert_allclose(after[0], examples @ before / examples.sum(), rtol=1e-5, atol=1e-7)


def test_parents_send_up_their_subtree_and_wait_with_their_own_parameters(make_society):
    society = make_society(FedAvg(), Layered())
    before = parameters(society)
    up = [
        scheduled
        for scheduled in society.scheduled_hops(1)
        if scheduled.hop.direction is Direction.UP
    ]
    outbox = society.compose(up[0])
    for relay, children in ((1, (3, 4)), (2, (5, 6))):
        mine = [
            b for e, b in zip(outbox.envelopes, outbox.handle, strict=True) if e.sender in children
        ]
        assert society.deliver(up[0], relay, mine) == []
    np.testing.assert_array_equal(parameters(society), before)
    payload = decode(society.compose(up[1]).handle[0]).payload
    assert payload.weight == 11 + 17 + 20
    expected = (11 * before[1] + 17 * before[3] + 20 * before[4]) / 48
    np.testing.assert_allclose(payload.values, expected, rtol=1e-5, atol=1e-7)


def first_moment(state) -> torch.Tensor:
    return torch.cat([kept["exp_avg"] for kept in state.optimizer])


def test_optimizer_state_stays_private_and_goes_on(make_society):
    society = make_society(FedAvg(), MasterSlave())
    society.train(1)
    before = {id: first_moment(society.host.agents[id].state).clone() for id in (0, 3, 6)}
    society.run(1)
    for id, moment in before.items():
        state = society.host.agents[id].state
        assert torch.equal(first_moment(state), moment)
        assert state.step == 1


def test_frozen_parameters_are_neither_sent_nor_changed(make_society):
    society = make_society(FedAvg(), MasterSlave())
    agent = society.host.agents[2]
    pooler = agent.encoder.backbone.pooler.dense
    sizes = [slot.name for slot in agent.resident.binding.layout.slots]
    assert not any("pooler" in name for name in sizes)
    frozen = pooler.weight.clone()
    society.run(1)
    assert torch.equal(pooler.weight, frozen)


def test_weights_laid_out_otherwise_are_rejected(make_society):
    society = make_society(FedAvg(), Ring())
    (scheduled,) = society.scheduled_hops(1)
    message = decode(society.compose(scheduled).handle[1])
    other = message.payload.model_copy(update={"layout": "another"})
    before = parameters(society)
    bad = encode(replace(message, payload=other))
    assert society.deliver(scheduled, 0, [bad]) == ["layout"]
    np.testing.assert_array_equal(parameters(society), before)


def test_parameters_are_sent_from_where_they_lie(make_learner):
    learner = make_learner(parameters=torch.arange(4.0))
    payload = FedAvg().compose(learner, Turn(1, 0, Direction.PEER))
    assert isinstance(payload, Weights)
    assert np.shares_memory(payload.values, learner.parameters.numpy())
    assert not payload.values.flags.writeable
    assert payload.weight == 1.0


def test_message_does_not_change_when_its_sender_goes_on(make_society):
    society = make_society(FedAvg(), Ring())
    before = society.host.agents[0].parameters.numpy().copy()
    (scheduled,) = society.scheduled_hops(1)
    outbox = society.compose(scheduled)
    society.host.agents[0].parameters.zero_()
    sent = [decode(buffer) for buffer in outbox.handle]
    (own,) = [each.payload for each in sent if each.envelope.sender == 0]
    np.testing.assert_array_equal(own.values, before)


def test_subtree_of_an_earlier_round_is_not_sent_again(make_learner, message):
    exchange = FedAvg()
    learner = make_learner(parameters=torch.ones(4))
    other = Weights(values=np.full(4, 3, np.float32), weight=1.0, layout="layout")
    up = Turn(round=1, hop=0, direction=Direction.UP)
    exchange.merge(learner, [message(other, 1)], up)
    later = exchange.compose(learner, Turn(round=2, hop=1, direction=Direction.UP))
    np.testing.assert_array_equal(later.values, np.ones(4))
    assert later.weight == 1.0


def test_one_step_of_sgd_under_a_master_is_a_step_on_everybodys_batches(train_plainly, towards):
    from agents.training.blueprint import Member

    host = train_plainly(FedAvg(), towards)
    rows = [host.agents[id].resident.blueprint.members[id].rows for id in range(3)]
    assert [len(each) for each in rows] == [8, 11, 14]
    everything = (Member(0, 0, np.concatenate(rows)),)
    alone = train_plainly(Isolated(), towards, 1, members=everything)
    start = host.agents[0].parameters.clone()
    host.train(1)
    alone.train(1)
    assert (host.agents[0].parameters - host.agents[1].parameters).abs().max() > 1e-3
    exchange, network = FedAvg(), MasterSlave().build(3, seed=0)
    for hop in network.hops(1):
        turns = {agent: Turn(1, hop.index, hop.direction, is_top=agent == 0) for agent in range(3)}
        senders = {sender for sender, _ in hop.edges}
        said = {id: exchange.compose(host.agents[id], turns[id]) for id in senders}
        for receiver in {receiver for _, receiver in hop.edges}:
            inbox = [
                Message.compose(said[id], sender=id, round=1, hop=hop.index)
                for id in hop.senders(receiver)
            ]
            exchange.merge(host.agents[receiver], inbox, turns[receiver])
    moved = alone.agents[0].parameters - start
    assert moved.abs().max() > 1e-2
    for agent in host.agents.values():
        torch.testing.assert_close(agent.parameters - start, moved, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("exchange", [FedAvg(), DiLoCo()], ids=lambda e: e.kind)
def test_of_an_encoder_with_frozen_layers_what_is_trained_is_exchanged(train_plainly, exchange):
    from agents.config import EncoderConfig
    from agents.objectives import InfoNCE

    encoder = EncoderConfig(preset="nano", dropout=0.0, frozen_layers=1)
    host = train_plainly(exchange, InfoNCE(), encoders=(encoder,))
    agent = host.agents[0]
    layout = agent.resident.binding.layout
    frozen = {
        name: value.clone()
        for name, value in agent.encoder.named_parameters()
        if not value.requires_grad
    }
    assert frozen
    host.train(1)
    payload = exchange.compose(agent, Turn(1, 0, Direction.UP))
    assert payload.values.shape == (layout.size,)
    assert layout.parameter_count < sum(each.numel() for each in agent.encoder.parameters())
    other = payload.model_copy(update={"values": payload.values + np.float32(1)})
    turn = Turn(1, 0, Direction.UP, is_top=True)
    message = Message.compose(other, sender=1, round=1, hop=0)
    exchange.merge(agent, [message], turn)
    assert all(
        torch.equal(value, frozen[name])
        for name, value in agent.encoder.named_parameters()
        if name in frozen
    )
