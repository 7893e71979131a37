"""Properties that all exchanges of parameters share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.hybrid import Hybrid
from agents.exchange.parameters.diloco import DiLoCo, DiLoCoState
from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.parameters.fedema import FedEMA
from agents.exchange.parameters.fedprox import FedProx
from agents.exchange.parameters.robust_fusion import Krum, Mean, Median, TrimmedMean
from agents.hosting.pytree import flatten
from protocols.messages import WeightDeltas, Weights
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Complete, Ring
from protocols.topologies.schedule import OnePeerExponential
from protocols.wire.serialize import decode, encode

KINDS = [FedAvg, FedProx, FedEMA, DiLoCo]
by_kind = pytest.mark.parametrize("kind", KINDS)


def parameters(society) -> np.ndarray:
    """`[7, P]` in float64."""
    agents = [society.host.agents[id] for id in range(7)]
    return np.stack([agent.parameters.double().numpy() for agent in agents])


def deliver(society, scheduled, lost=()):
    """Take a hop in which some edges carry nothing."""
    outbox = society.compose(scheduled)
    sent = list(zip(outbox.sent(), outbox.handle, strict=True))
    for agent in sorted({receiver for _, receiver in scheduled.hop.edges}):
        mine = [
            buffer
            for (envelope, recipients, *_), buffer in sent
            if agent in recipients and (envelope.sender, agent) not in lost
        ]
        assert society.deliver(scheduled, agent, mine) == []


@by_kind
def test_subtree_whose_relay_missed_the_result_goes_on_as_it_was(make_society, kind):
    society = make_society(kind(), Layered())
    before = parameters(society)
    for scheduled in society.scheduled_hops(1):
        down = scheduled.hop.direction is Direction.DOWN
        deliver(society, scheduled, lost={(0, 1)} if down else set())
    after = parameters(society)
    # Agent 1 is the parent of 3 and 4, agent 2 that of 5 and 6.
    np.testing.assert_array_equal(after[[1, 3, 4]], before[[1, 3, 4]])
    assert (after[[0, 2, 5, 6]] != before[[0, 2, 5, 6]]).any(axis=1).all()
    # In the next round they hold, or hear, what everybody does.
    society.run(2)
    if kind is not FedEMA:
        assert (parameters(society) == parameters(society)[0]).all()


@by_kind
def test_root_that_heard_nobody_leaves_everybody_alone(make_society, kind):
    society = make_society(kind(), MasterSlave())
    before = parameters(society)
    up, down = society.scheduled_hops(1)
    deliver(society, up, lost=set(up.hop.edges))
    assert not society.compose(down).handle
    deliver(society, down)
    np.testing.assert_array_equal(parameters(society), before)


@by_kind
@pytest.mark.parametrize("topology", [MasterSlave(), Layered(), Ring()], ids=lambda t: t.kind)
def test_every_message_holds_four_bytes_for_each_parameter(make_society, kind, topology):
    society = make_society(kind(), topology)
    size = len(society.host.agents[0].parameters)
    for scheduled in society.scheduled_hops(1):
        outbox = society.compose(scheduled)
        for buffer in outbox.handle:
            payload = decode(buffer).payload
            delta = kind is DiLoCo and scheduled.hop.direction is Direction.UP
            assert type(payload) is (WeightDeltas if delta else Weights)
            assert 0 < buffer.nbytes - 4 * size < 1024
        society.take(scheduled)


@by_kind
def test_agent_remembers_what_to_look_back_at_where_it_is_wanted(make_society, kind):
    for wants_reference in (False, True):
        society = make_society(kind(), MasterSlave())
        agents = society.host.agents
        exchange = society.exchange
        own = type(agents[0])
        try:
            own.wants_reference, kept = wants_reference, own.wants_reference
            assert exchange.reference(agents[4]) is None
            before = agents[4].parameters.clone()
            society.run(1)
            reference = exchange.reference(agents[4])
        finally:
            own.wants_reference = kept
        if not wants_reference:
            assert reference is None
            continue
        assert torch.equal(reference.previous, before)
        result = agents[0].exchange_state.received
        assert torch.equal(reference.received, result)
        assert torch.equal(agents[4].parameters, result) == (kind is not FedEMA)


@pytest.mark.parametrize("kind", [FedAvg, DiLoCo])
@pytest.mark.parametrize("topology", [Complete(), MasterSlave()], ids=lambda t: t.kind)
@pytest.mark.parametrize("poison", ["huge", "random"])
def test_a_poisoned_sender_destroys_the_mean_and_no_robust_fusion(
    make_society, kind, topology, poison
):
    sizes = {}
    for fusion in (Mean(), Median(), TrimmedMean(), Krum()):
        society = make_society(kind(fusion=fusion), topology)
        before = parameters(society)
        scheduled = society.scheduled_hops(1)[0]
        outbox = society.compose(scheduled)
        letters = {
            envelope.sender: buffer
            for envelope, buffer in zip(outbox.envelopes, outbox.handle, strict=True)
        }
        message = decode(letters[3])
        values = message.payload.values * np.float32(1e6)
        if poison == "random":
            values = np.random.default_rng(0).normal(0, 1e4, len(values)).astype(np.float32)
        payload = message.payload.model_copy(update={"values": values})
        letters[3] = encode(replace(message, payload=payload))
        inbox = [letters[sender] for sender in scheduled.hop.senders(0)]
        assert society.deliver(scheduled, 0, inbox) == []
        sizes[fusion.kind] = np.abs(parameters(society)[0] - before[0]).max()
    assert sizes.pop("mean") > 100
    assert max(sizes.values()) < 1


def test_robust_fusion_that_hears_too_few_changes_nothing(make_society):
    society = make_society(FedAvg(fusion=TrimmedMean()), Complete())
    before = parameters(society)
    (scheduled,) = society.scheduled_hops(1)
    deliver(society, scheduled, lost={(sender, 0) for sender in (1, 2, 3)})
    np.testing.assert_array_equal(parameters(society)[0], before[0])
    assert (parameters(society)[1:] != before[1:]).any(axis=1).all()


def test_robust_fusion_disregards_how_many_documents_somebody_claims(make_learner, message):
    exchange = FedAvg(fusion=Median())
    learner = make_learner(parameters=torch.zeros(3), examples=1000)
    inbox = [
        message(
            Weights(values=np.full(3, sender, np.float32), weight=weight, layout="layout"), sender
        )
        for sender, weight in ((1, 1.0), (2, 2.0**53))
    ]
    turn = Turn(1, 0, Direction.UP, is_top=True)
    exchange.merge(learner, inbox, turn)
    np.testing.assert_array_equal(learner.parameters, np.ones(3))


@pytest.mark.parametrize(
    ("fusion", "topology", "agents", "refused"),
    [
        (Median(), Ring(), 7, None),
        (Median(), OnePeerExponential(), 7, "agent-0 has 2"),
        (Krum(), Ring(), 7, "agent-0 has 3"),
        (Krum(), Ring(hops=2), 7, None),
        (Krum(), MasterSlave(master=2), 4, "agent-2 has 4"),
        (Krum(), MasterSlave(master=2), 5, None),
        (Median(), Layered(), 6, "agent-2 has 2"),
        (Median(), Layered(), 7, None),
        (Krum(), Ring(), 1, None),
        (Mean(), OnePeerExponential(), 7, None),
    ],
)
def test_networks_with_too_few_to_fuse_are_refused(fusion, topology, agents, refused):
    society = Society(
        (EncoderConfig(),) * agents, anchors=0, batch_size=8, network=topology.build(agents, seed=0)
    )
    for exchange in (DiLoCo(fusion=fusion), Hybrid(strategies=(DiLoCo(fusion=fusion), FedProx()))):
        if refused is None:
            exchange.check(society)
        else:
            with pytest.raises(
                ValueError, match=rf"{fusion.kind} needs {fusion.fewest}.*{refused}"
            ):
                exchange.check(society)


def tree(state):
    """Return a state as values that compare."""
    skeleton, tensors = flatten(state.to_tree())
    return skeleton, {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def test_state_survives_a_checkpoint(make_society, tmp_path):
    society = make_society(DiLoCo(), Layered())
    for scheduled in society.scheduled_hops(1)[:2]:
        society.take(scheduled)
    agents = society.host.agents
    before = {id: agent.exchange_state for id, agent in agents.items()}
    digests = society.host.snapshot(tmp_path)
    society.host.restore(tmp_path, digests)
    assert (before[0].settled, before[0].subtree) == (1, None)
    assert before[0].velocity is not None
    assert (before[1].settled, before[1].velocity) == (0, None)
    assert before[1].subtree is not None
    for id, agent in agents.items():
        after = agent.exchange_state
        assert after is not before[id]
        assert type(after) is DiLoCoState
        assert tree(after) == tree(before[id])


def test_exchange_that_is_taken_up_later_begins_where_agents_stand(make_society, tmp_path):
    society = make_society(FedAvg(), Ring())
    society.run(1)
    standing = {id: agent.parameters.clone() for id, agent in society.host.agents.items()}
    digests = society.host.snapshot(tmp_path)
    society = make_society(DiLoCo(), Ring())
    society.host.restore(tmp_path, digests, afresh=True)
    for id, agent in society.host.agents.items():
        state = agent.exchange_state
        assert tree(state) == tree(DiLoCoState(received=state.received))
        assert torch.equal(agent.exchange_state.received, standing[id])
