"""Exchange of the strongest components of a local momentum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from agents.exchange.parameters.demo import DeMo
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Complete, Ring
from protocols.wire.serialize import decode

TREES = [MasterSlave(master=3), Layered(), Layered(levels=(1, 1, 2, 3))]
RATE, DECAY, KEPT, SIDE = 0.01, 0.9, 5, 16
SETTINGS = {"learning_rate": RATE, "decay": DECAY, "components": KEPT, "chunk": SIDE}


def parameters(society) -> np.ndarray:
    """`[7, P]` in float64."""
    return np.stack([society.host.agents[id].parameters.double().numpy() for id in range(7)])


def wander(society, round: int, scale: float = 0.02) -> None:
    """Move every agent, as training would, each its own way; only parameters, not the padding."""
    for id, agent in society.host.agents.items():
        draw = torch.Generator().manual_seed(100 * round + id)
        for slot in agent.slots:
            place = slice(slot.start, slot.start + slot.length)
            agent.parameters[place] += scale * torch.randn(slot.length, generator=draw)


def chunks(slots):
    """Yield the places `[height, width]` of every chunk of a flat buffer."""

    def split(size: int) -> int:
        return next(n for n in range(SIDE, 0, -1) if size % n == 0)

    for slot in slots:
        places = np.arange(slot.start, slot.start + slot.length)
        places = places.reshape(slot.shape[0] if len(slot.shape) > 1 else 1, -1)
        height, width = split(places.shape[0]), split(places.shape[1])
        for y in range(0, places.shape[0], height):
            for x in range(0, places.shape[1], width):
                yield places[y : y + height, x : x + width]


def step(slots, momenta: np.ndarray, receivers: dict[int, list[int]]) -> dict[int, np.ndarray]:
    """Extract from momenta `[7, P]` in place; return the merged numbers `[P]` of each receiver."""
    merged = {id: np.zeros(momenta.shape[1]) for id in receivers}
    for places in chunks(slots):
        sent = []
        for momentum in momenta:
            components = dctn(momentum[places], norm="ortho")
            order = np.argsort(-np.abs(components), axis=None)
            components.flat[order[KEPT:]] = 0.0
            momentum[places] -= idctn(components, norm="ortho")
            sent.append(components)
        for id, senders in receivers.items():
            held = np.stack([sent[each] for each in senders])
            mean = held.sum(axis=0) / np.maximum((held != 0).sum(axis=0), 1)
            merged[id][places] = idctn(mean, norm="ortho")
    return merged


@pytest.mark.parametrize("topology", [Complete(), Ring(), *TREES], ids=str)
def test_exchange_is_the_papers_algorithm_chunk_by_chunk(make_society, topology):
    society = make_society(DeMo(**SETTINGS), topology)
    agents = society.host.agents
    receivers = {id: list(range(7)) for id in range(7)}
    if topology == Ring():
        receivers = {id: sorted({id, *society.network.neighbours(id)}) for id in range(7)}
    momenta = np.zeros((7, len(agents[0].parameters)))
    for round in (1, 2):
        shared = np.stack([agents[id].exchange_state.shared.double().numpy() for id in range(7)])
        wander(society, round)
        momenta = DECAY * momenta + (shared - parameters(society))
        merged = step(agents[0].slots, momenta, receivers)
        society.run(round)
        after = parameters(society)
        for id, direction in merged.items():
            clear = np.abs(direction) > 1e-6  # the sign of less depends on rounding
            assert clear.mean() > 0.95
            expected = shared[id] - RATE * np.sign(direction)
            np.testing.assert_allclose(after[id][clear], expected[clear], atol=1e-6)
            own = agents[id].exchange_state.momentum.double().numpy()
            np.testing.assert_allclose(own, momenta[id], atol=1e-6)


@pytest.mark.parametrize("codec", ["fp32", "fp16", "bf16", "int8"])
@pytest.mark.parametrize("topology", [Complete(), *TREES], ids=str)
def test_all_agents_hold_the_same_bits_in_every_codec(make_society, topology, codec):
    society = make_society(DeMo(**SETTINGS, codec=codec), topology)
    for round in (1, 2, 3):
        wander(society, round)
        society.run(round)
        after = parameters(society)
        assert (after == after[0]).all()


def test_what_a_codec_loses_stays_in_the_momentum(make_society):
    society = make_society(DeMo(**SETTINGS, codec="int8"), Complete())
    agent = society.host.agents[2]
    shared = agent.exchange_state.shared.clone()
    wander(society, 1)
    change = (shared - agent.parameters).double().numpy()
    outbox = society.compose(society.scheduled_hops(1)[0])
    payload = decode(outbox.handle[2]).payload
    society.run(1)
    sent, begin = np.zeros(len(change)), 0
    for places in chunks(agent.slots):
        kept, components = min(KEPT, places.size), np.zeros(places.shape)
        components.flat[payload.places[0, begin : begin + kept]] = payload.values[
            0, begin : begin + kept
        ]
        sent[places] = idctn(components, norm="ortho")
        begin += kept
    left = agent.exchange_state.momentum.double().numpy()
    np.testing.assert_allclose(sent + left, change, atol=1e-6)


def test_step_does_not_depend_on_the_size_of_local_steps(make_society):
    after = []
    for scale in (0.25, 0.5):
        society = make_society(DeMo(**SETTINGS), Complete())
        for agent in society.host.agents.values():
            # From zero, so that twice the step is twice the change to the bit.
            agent.parameters.zero_()
            agent.exchange_state.shared.zero_()
        wander(society, 1, scale)
        society.run(1)
        after.append(parameters(society))
    np.testing.assert_array_equal(after[0], after[1])
    assert after[0].any()


def test_parameters_that_nobody_moved_stay(make_society):
    society = make_society(DeMo(**SETTINGS), Complete())
    slot = society.host.agents[0].slots[0]
    for id, agent in society.host.agents.items():
        agent.parameters.copy_(agent.exchange_state.shared)
        slot.view(agent.parameters)[-16:] += 0.01 * (1 + id)
    shared = society.host.agents[0].exchange_state.shared.clone()
    society.run(1)
    moved = society.host.agents[0].parameters != shared
    assert slot.view(moved)[-16:].any()
    assert moved.sum() == slot.view(moved)[-16:].sum()


def test_agent_that_received_nothing_keeps_what_it_has_learnt(make_society):
    society = make_society(DeMo(**SETTINGS), Ring())
    wander(society, 1)
    agent = society.host.agents[0]
    local, shared = agent.parameters.clone(), agent.exchange_state.shared.clone()
    (scheduled,) = society.scheduled_hops(1)
    society.compose(scheduled)
    assert society.deliver(scheduled, 0, []) == []
    assert torch.equal(agent.parameters, local)
    assert torch.equal(agent.exchange_state.shared, shared)
    assert agent.exchange_state.momentum is None


def test_relay_sends_the_components_of_each_agent_below_it(make_society):
    society = make_society(DeMo(**SETTINGS), Layered())
    wander(society, 1)
    hops = society.scheduled_hops(1)
    leaves = society.compose(hops[0])
    society.take(hops[0])
    relays = society.compose(hops[1])
    sent = {
        envelope.sender: decode(buffer).payload
        for outbox in (leaves, relays)
        for envelope, buffer in zip(outbox.envelopes, outbox.handle, strict=True)
    }
    np.testing.assert_array_equal(
        sent[1].values[1:], np.concatenate([sent[3].values, sent[4].values])
    )
    assert sent[1].values.shape[0] == 3
