"""Averaging of a share of the parameters."""

from __future__ import annotations

import numpy as np
import pytest

from agents.exchange import Turn
from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.parameters.sparta import Sparta
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Complete, ErdosRenyi, Ring
from protocols.topologies.schedule import OnePeerExponential
from protocols.wire.serialize import decode

TREES = [MasterSlave(), Layered(levels=(1, 1, 2, 3))]
PEERS = [Ring(), ErdosRenyi(p=0.5), OnePeerExponential()]
SELECTIONS = ["random", "partitioned"]
by_selection = pytest.mark.parametrize("selection", SELECTIONS)


def parameters(society) -> np.ndarray:
    """`[7, P]`."""
    return np.stack([society.host.agents[id].parameters.numpy().copy() for id in range(7)])


def scatter(society, seed: int = 0) -> None:
    """Give every agent numbers of its own, padding included."""
    rng = np.random.default_rng(seed)
    for id in range(7):
        values = society.host.agents[id].parameters
        values.copy_(values.new_tensor(rng.normal(size=len(values))))


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The places that changed, which must be the same in all agents."""
    differ = before != after
    places = np.flatnonzero(differ.any(axis=0))
    assert differ[:, places].mean() > 0.999  # a mean may be an agent's own number by chance
    return places


@by_selection
@pytest.mark.parametrize("topology", PEERS, ids=str)
def test_peers_mix_the_same_share_and_leave_the_rest(make_society, topology, selection):
    society = make_society(Sparta(share=0.02, selection=selection), topology)
    size, seen = len(society.host.agents[0].parameters), []
    for round in (1, 2, 3):
        scatter(society, round)
        before = parameters(society)
        society.run(round)
        after = parameters(society)
        places = changed(before, after)
        assert abs(len(places) - 0.02 * size) <= 1
        mixing = society.network.mixing(round)
        expected = [
            sum(mixing[i, j] * float(before[j, place]) for j in range(7))
            for place in places[:200]
            for i in range(7)
        ]
        np.testing.assert_allclose(after[:, places[:200]].T.ravel(), expected, atol=1e-5)
        seen.append(set(places.tolist()))
    assert len(seen[0] & seen[1]) < 0.2 * len(seen[0]), "every exchange draws others"


@by_selection
@pytest.mark.parametrize("topology", TREES, ids=str)
def test_trees_average_the_same_share_by_documents(make_society, topology, selection):
    society = make_society(Sparta(share=0.05, selection=selection), topology)
    scatter(society)
    documents = np.array([society.host.agents[id].examples for id in range(7)], np.float64)
    before = parameters(society)
    society.run(1)
    after = parameters(society)
    places = changed(before, after)
    mean = documents @ before[:, places].astype(np.float64) / documents.sum()
    np.testing.assert_allclose(after[:, places], np.tile(mean, (7, 1)), atol=1e-5)


@pytest.mark.parametrize("topology", [*TREES, *PEERS], ids=str)
def test_share_of_one_is_averaging_of_all(make_society, topology):
    after = []
    for exchange in (Sparta(share=1.0), FedAvg()):
        society = make_society(exchange, topology)
        scatter(society)
        society.run(1)
        after.append(parameters(society))
    np.testing.assert_array_equal(after[0], after[1])


def test_partitions_are_each_number_once_in_a_cycle_and_then_others(make_society):
    society = make_society(Sparta(share=0.3, selection="partitioned", every=2), Complete())
    cycles = []
    for first in (1, 5):
        counts, sets = np.zeros(len(society.host.agents[0].parameters), int), []
        for number in range(first, first + 4):
            scatter(society, number)
            before = parameters(society)
            society.run(2 * number)
            places = changed(before, parameters(society))
            counts[places] += 1
            sets.append(places)
        assert (counts == 1).all()
        cycles.append(sets)
    assert not np.array_equal(cycles[0][0], cycles[1][0])


def test_partition_after_the_last_round_is_the_next_one(make_society):
    exchange = Sparta(share=0.3, selection="partitioned", every=2)
    assert [round for round in range(1, 6) if exchange.is_due(round, rounds=5)] == [2, 4, 5]
    society = make_society(exchange, Complete())
    seen = []
    for round in (2, 4, 5):
        scatter(society, round)
        before = parameters(society)
        society.run(round)
        seen.append(set(changed(before, parameters(society)).tolist()))
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]


@pytest.mark.parametrize(("selection", "forms"), [("random", 1), ("partitioned", 4)])
def test_rounds_of_one_form_send_equally_many_numbers(make_society, selection, forms):
    exchange = Sparta(share=0.3, selection=selection)
    agent = make_society(exchange, Ring()).host.agents[0]
    sizes: dict = {}
    for round in range(1, 9):
        turn = Turn(round=round, hop=0, direction=Direction.PEER)
        sizes.setdefault(exchange.form_of(round), set()).add(len(exchange.offer(agent, turn)))
    assert [len(found) for found in sizes.values()] == [1] * forms


def test_message_holds_the_selected_numbers_and_nothing_else(make_society):
    society = make_society(Sparta(share=0.01), Ring())
    scatter(society)
    agent = society.host.agents[4]
    outbox = society.compose(society.scheduled_hops(1)[0])
    (buffer,) = (
        handle
        for envelope, handle in zip(outbox.envelopes, outbox.handle, strict=True)
        if envelope.sender == 4
    )
    values = decode(buffer).payload.values
    assert len(values) == round(0.01 * len(agent.parameters))
    assert np.isin(values, agent.parameters.numpy()).all()
    assert buffer.nbytes < 4 * len(values) + 400


def test_selection_of_another_round_is_rejected(make_society):
    from protocols.messages import Message
    from protocols.wire.serialize import encode

    society = make_society(Sparta(share=0.01), Ring())
    first, second = (society.scheduled_hops(round)[0] for round in (1, 2))
    receiver = first.hop.edges[0][1]
    sent = decode(society.addressed(society.compose(first), receiver)[0])
    fields = {"sender": sent.envelope.sender, "round": 2, "hop": 0}
    late = encode(Message.compose(sent.payload, **fields))
    assert society.deliver(second, receiver, [late]) == ["layout"]


def test_other_seeds_select_other_numbers(make_society, monkeypatch):
    places = []
    for seed in (0, 1):
        society = make_society(Sparta(share=0.02), Complete())
        scatter(society)
        for agent in society.host.agents.values():
            monkeypatch.setattr(agent, "seed", seed)
        before = parameters(society)
        society.run(1)
        places.append(changed(before, parameters(society)))
    assert not np.array_equal(places[0], places[1])


def test_agents_must_wait_for_each_other():
    assert not Sparta().asynchronous


def test_partitions_keep_wandering_agents_closer_than_random_places(make_society):
    # A number wanders for t exchanges between two averages: its spread grows with the mean of t^2 / 2 over
    # that of t: 1 / share for random places, and 7 / 12 of that for its places in two permutations.
    spread = {}
    for selection in SELECTIONS:
        society = make_society(Sparta(share=0.2, selection=selection), Complete())
        rng = np.random.default_rng(0)
        for agent in society.host.agents.values():
            agent.parameters.zero_()
        found = []
        for round in range(1, 31):
            for agent in society.host.agents.values():
                step = rng.standard_normal(len(agent.parameters), dtype=np.float32)
                agent.parameters.add_(agent.parameters.new_tensor(step))
            society.run(round)
            found.append(parameters(society).var(axis=0).mean())
        spread[selection] = np.mean(found[15:])
    assert 0.4 < spread["partitioned"] / spread["random"] < 0.7
