"""DiLoCo on one fragment at a time, compared with the paper's algorithm written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.parameters.diloco import DiLoCo
from agents.exchange.parameters.fragments import fragments_of
from agents.exchange.parameters.streaming_diloco import StreamingDiLoCo
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import ErdosRenyi, Ring
from protocols.wire.serialize import decode

TOPOLOGIES = [MasterSlave(), Layered(), Ring(), ErdosRenyi(p=0.5)]
by_topology = pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda topology: topology.kind)


def parameters(society) -> np.ndarray:
    """`[7, P]` in float64."""
    agents = [society.host.agents[id] for id in range(7)]
    return np.stack([agent.parameters.double().numpy() for agent in agents])


def noise(agent, step: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(100 * step + agent.id)
    return 0.02 * torch.randn(len(agent.parameters), generator=draw)


def places(society, exchange) -> list[np.ndarray]:
    """Return the elements of each fragment."""
    cut = fragments_of(society.host.agents[0].slots, exchange.fragments, exchange.pattern)
    return [np.concatenate([np.arange(*place) for place in each.places]) for each in cut]


@by_topology
@pytest.mark.parametrize("codec", ["fp32", "int8", {"kind": "top_k", "share": 0.1}], ids=str)
def test_one_fragment_without_overlap_is_diloco_to_the_bit(make_society, topology, codec):
    results = []
    for exchange in (DiLoCo(codec=codec), StreamingDiLoCo(codec=codec, fragments=1)):
        society, sent = make_society(exchange, topology), []
        for round in (1, 2, 3):
            society.train(round)
            for scheduled in society.scheduled_hops(round):
                outbox = society.compose(scheduled)
                sent += [buffer.tobytes() for buffer in outbox.handle]
                for agent in {receiver for _, receiver in scheduled.hop.edges}:
                    assert society.deliver(scheduled, agent, society.addressed(outbox, agent)) == []
        results.append((sent, parameters(society).tobytes()))
    assert results[0] == results[1]


class Reference:
    """Algorithm 2 of the paper, in float64: M replicas, P fragments, an overlap, and a mixing matrix.

    Args:
        theta: `[M, P]`, the parameters.
        phi: `[P]`, the common parameters in the beginning.
        mixing: `[M, M]`, the average of the phis by each replica; None for a master's.
        shares: `[M]`, the weights of the replicas under a master.
    """

    def __init__(self, exchange, theta, phi, places, shares, mixing=None) -> None:
        self.exchange, self.theta, self.places = exchange, theta.copy(), places
        self.shares, self.mixing = shares, mixing
        self.phi = np.tile(phi, (len(theta), 1))
        self.velocity = np.zeros_like(self.phi)
        self.due: dict[int, int] = {}
        self.step = 0

    def train(self, noises) -> None:
        """Apply a fragment whose overlap is over, and take a step."""
        if self.step in self.due:
            self.mix(self.due.pop(self.step))
        self.theta += noises
        self.step += 1

    def synchronise(self, exchange_number: int) -> None:
        fragment = exchange_number % self.exchange.fragments
        at = self.places[fragment]
        gradient = self.phi[:, at] - self.theta[:, at]
        if self.mixing is None:
            gradient = np.tile(self.shares @ gradient, (len(self.theta), 1))
        beta, rate = self.exchange.outer_momentum, self.exchange.outer_learning_rate
        self.velocity[:, at] = beta * self.velocity[:, at] + gradient
        stepped = self.phi[:, at] - rate * (gradient + beta * self.velocity[:, at])
        self.phi[:, at] = stepped if self.mixing is None else self.mixing @ stepped
        if self.exchange.overlap:
            self.due[self.step + self.exchange.overlap] = fragment
        else:
            self.mix(fragment)

    def mix(self, fragment: int) -> None:
        at, alpha = self.places[fragment], self.exchange.alpha
        self.theta[:, at] = alpha * self.theta[:, at] + (1 - alpha) * self.phi[:, at]


@by_topology
@pytest.mark.parametrize(
    ("overlap", "alpha", "pattern"),
    [(0, 0.0, "sequential"), (0, 0.3, "strided"), (2, 0.5, "strided"), (1, 0.0, "sequential")],
)
def test_society_follows_the_algorithm_of_the_paper(
    make_society, topology, overlap, alpha, pattern
):
    exchange = StreamingDiLoCo(
        fragments=3, overlap=overlap, alpha=alpha, pattern=pattern, outer_momentum=0.8
    )
    society = make_society(exchange, topology)
    agents = [society.host.agents[id] for id in range(7)]
    cut = fragments_of(agents[0].slots, 3, pattern)
    phi = torch.zeros_like(agents[0].parameters)
    for fragment, state in zip(cut, agents[0].exchange_state.fragments, strict=True):
        fragment.write(phi, state["received"])
    examples = np.array([agent.examples for agent in agents], dtype=np.float64)
    mixing = society.network.mixing(1) if topology.kind in ("ring", "erdos_renyi") else None
    reference = Reference(
        exchange,
        parameters(society),
        phi.double().numpy(),
        places(society, exchange),
        examples / examples.sum(),
        mixing,
    )
    for round in range(1, 8):
        for step in range(4):
            noises = [noise(agent, 10 * round + step) for agent in agents]
            for agent, each in zip(agents, noises, strict=True):
                exchange.before_step(agent)
                agent.parameters.add_(each)
            reference.train(np.stack([each.double().numpy() for each in noises]))
        society.run(round)
        reference.synchronise(round - 1)
        np.testing.assert_allclose(parameters(society), reference.theta, rtol=1e-5, atol=1e-6)


def test_training_applies_a_result_between_its_steps(train_plainly, quadratic):
    exchange = StreamingDiLoCo(fragments=2, overlap=1, alpha=0.25)
    host = train_plainly(exchange, quadratic, 1, {"local_steps": 3, "learning_rate": 0.1})
    (agent,) = host.agents.values()
    state, fragment = agent.exchange_state, fragments_of(agent.slots, 2, "strided")[1]
    trained, at = np.zeros(len(agent.parameters)), np.zeros(len(agent.parameters), dtype=bool)
    for slot in agent.slots:
        trained[slot.start : slot.start + slot.length] = 1.0
    for start, end in fragment.places:
        at[start:end] = True
    state.waiting = {1: 1}
    state.fragments[1]["received"].fill_(3.0)
    w = agent.parameters.double().numpy()
    w = w - 0.1 * trained * (w - 1)
    w = np.where(at, 0.25 * w + 0.75 * 3.0, w)
    w = w - 0.1 * trained * (w - 1)
    w = w - 0.1 * trained * (w - 1)
    host.train(1)
    np.testing.assert_allclose(agent.parameters.numpy(), w, rtol=1e-5, atol=1e-6)
    assert state.waiting == {}


def test_result_that_still_waits_is_applied_before_its_fragment_is_sent_again(make_society):
    """Its agent did not train, or its round was undone: no change counts twice."""
    exchange = StreamingDiLoCo(fragments=2, overlap=1)
    society = make_society(exchange, MasterSlave())
    agent, (first, second) = society.host.agents[4], places(society, exchange)
    before = agent.parameters.clone()
    society.run(1)
    society.run(2)
    assert torch.equal(agent.parameters, before)
    assert agent.exchange_state.waiting == {0: 1, 1: 1}
    result = agent.exchange_state.fragments[0]["received"]
    outbox = society.compose(society.scheduled_hops(3)[0])
    assert torch.equal(agent.parameters[first], result)
    assert torch.equal(agent.parameters[second], before[second])
    assert agent.exchange_state.waiting == {1: 1}
    assert not decode(outbox.handle[3]).payload.values.any()


def test_fragments_are_exchanged_in_turn_and_the_largest_message_falls_by_their_number(
    make_society,
):
    whole, sizes, layouts = None, [], []
    for exchange in (DiLoCo(), StreamingDiLoCo(fragments=4, every=2)):
        society = make_society(exchange, MasterSlave())
        for round in range(2, 13, 2):
            up = society.scheduled_hops(round)[0]
            outbox = society.compose(up)
            if whole is None:
                whole = outbox.payload_bytes[0]
                break
            sizes.append(outbox.payload_bytes[0])
            layouts.append(decode(outbox.handle[0]).payload.layout.split(":")[1])
    assert layouts == ["0/4", "1/4", "2/4", "3/4", "0/4", "1/4"]
    # A line of 16 numbers more for each of the pieces that rounding makes longer, and the header.
    assert max(sizes) <= whole / 4 + 4 * 16 * 8 + 128
    assert sum(sizes[:4]) >= whole - 4 * 256


def test_agent_that_missed_a_result_is_like_the_others_again_after_all_fragments(make_society):
    exchange = StreamingDiLoCo(fragments=3)
    society = make_society(exchange, MasterSlave())
    for round in range(1, 5):
        for scheduled in society.scheduled_hops(round):
            outbox = society.compose(scheduled)
            for agent in {receiver for _, receiver in scheduled.hop.edges}:
                is_lost = round == 1 and agent == 4 and scheduled.hop.direction is Direction.DOWN
                buffers = [] if is_lost else society.addressed(outbox, agent)
                assert society.deliver(scheduled, agent, buffers) == []
        alike = (parameters(society) == parameters(society)[0]).all(axis=1)
        assert alike[4] == (round == 4)
    assert alike.all()


def test_message_of_another_fragment_is_rejected(make_society):
    society = make_society(StreamingDiLoCo(fragments=2), Ring())
    (scheduled,) = society.scheduled_hops(1)
    outbox = society.compose(scheduled)
    message = decode(society.addressed(outbox, 0)[0])
    from protocols.messages import Message
    from protocols.wire.serialize import encode

    payload = message.payload.model_copy(
        update={"layout": message.payload.layout.replace(":0/", ":1/")}
    )
    sender = message.envelope.sender
    bad = encode(Message.compose(payload, sender=sender, round=1, hop=0))
    assert society.deliver(scheduled, 0, [bad]) == ["layout"]


def test_leaf_says_nothing_of_another_fragment_than_the_rounds(make_society):
    exchange = StreamingDiLoCo(fragments=2)
    leaf = make_society(exchange, MasterSlave(master=0)).host.agents[1]
    for round in (1, 2):
        turns = [Turn(round, 0, Direction.UP, fragment=fragment) for fragment in range(2)]
        said = [exchange.compose(leaf, turn) is not None for turn in turns]
        assert said == [fragment == exchange.fragment_of(round) for fragment in range(2)]


def test_objective_is_given_all_fragments_as_last_received(make_society, monkeypatch):
    exchange = StreamingDiLoCo(fragments=2)
    society = make_society(exchange, MasterSlave())
    agent, (first, second) = society.host.agents[2], places(society, exchange)
    monkeypatch.setattr(type(agent), "wants_reference", True)
    assert exchange.reference(agent) is None
    before = agent.parameters.clone()
    initial = agent.exchange_state.fragments[1]["received"].clone()
    society.run(1)
    reference = exchange.reference(agent)
    assert torch.equal(reference.received[first], agent.parameters[first])
    assert torch.equal(reference.received[second], initial)
    assert torch.equal(reference.previous[first], before[first])
    assert torch.equal(reference.previous[second], initial)


def test_overlap_that_does_not_end_before_the_next_exchange_is_refused():
    society = Society((EncoderConfig(),) * 2, anchors=0, batch_size=8, local_steps=3)
    StreamingDiLoCo(overlap=2).check(society)
    StreamingDiLoCo(overlap=5, every=2).check(society)
    with pytest.raises(ValueError, match=r"exchange\.overlap 3"):
        StreamingDiLoCo(overlap=3).check(society)
