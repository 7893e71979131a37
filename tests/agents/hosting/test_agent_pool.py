"""Agents that come and go between memory and disk: nothing of it shows."""

from __future__ import annotations

import pytest
import torch

from agents.exchange import EXCHANGES
from agents.hosting.pytree import tree_bytes
from agents.hosting.state_file import save_state
from agents.training.blueprint import Arm
from protocols.topologies.peer import Ring

CHANGES = {
    "fedavg": {"codec": {"kind": "top_k"}},
    "fedprox": {},
    "diloco": {},
    "streaming_diloco": {"fragments": 3, "overlap": 1},
    "anchor_contrast": {},
    "cross_negatives": {"shares_private_embeddings": True},
    "hybrid": {"strategies": [{"fedavg": {"every": 2}}, "anchor_contrast"]},
}


@pytest.fixture
def run(make_host, tmp_path):
    """Take three agents through two rounds on a ring; return what they ended with."""

    def go(exchange, name, **fields):
        from agentos.rounds.hop_schedule import ScheduledHop, turn_of
        from agents.hosting.delivery import Delivery

        host = make_host(3, heads=exchange.heads(frozenset({64})), **fields)
        host.begin(Arm(exchange, exchange.anchor_fraction))
        network = Ring().build(3, seed=0)
        told = [host.evaluate()]
        for round in (1, 2):
            metrics = host.train(round)
            told.append({id: metrics[id]["loss"] for id in sorted(metrics)})
            hops = [
                (p, n, hop)
                for p, part in enumerate(exchange.parts)
                for n in range(part.passes)
                for hop in network.hops(round)
            ]
            for number, (part, passage, hop) in enumerate(hops):
                scheduled = ScheduledHop(round, number, part, passage, hop)
                turns = {a: (turn_of(network, scheduled, a), hop.recipients(a)) for a in range(3)}
                outbox = host.compose(turns, part)
                sent = list(enumerate(outbox.recipients))
                deliveries = {
                    a: Delivery(
                        turns[a][0],
                        frozenset(hop.senders(a)),
                        tuple((0, i) for i, recipients in sent if a in recipients),
                    )
                    for a in range(3)
                }
                assert not any(host.merge([outbox.handle], deliveries, part).values())
        told.append(host.evaluate())
        folder = tmp_path / name
        folder.mkdir()
        digests = host.snapshot(folder)
        return host, told, dict(sorted(digests.items()))

    return go


@pytest.mark.parametrize("kind", CHANGES)
def test_spilling_changes_no_bit(kind, run):
    exchange = EXCHANGES[kind].model_validate(CHANGES[kind])
    _, expected, digests = run(exchange, "memory")
    host, told, spilled = run(exchange, "disk", state_bytes=1)
    assert host.agents.spilled_bytes > 0
    host.close()
    assert told == expected
    assert spilled == digests


def test_memory_in_use_stays_within_the_budget_and_one_agent(make_host):
    host = make_host(4)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    host.train(1)
    # AdamW keeps two moments, and counts the steps of its two slices.
    one = tree_bytes(host.agents[0].state.parameters) * 3 + 8
    assert host.agents.loaded_bytes == 4 * one
    host = make_host(4, state_bytes=2 * one)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    host.train(1)
    assert host.agents.loaded_bytes == 2 * one
    assert host.agents.spilled_bytes >= 2 * one
    host.close()


def test_untouched_agents_share_the_initial_weights(make_host):
    host = make_host(3)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    calls = []
    evaluate = host.blueprint.evaluate
    object.__setattr__(host.blueprint, "evaluate", lambda a: calls.append(a) or evaluate(a))
    metrics = host.evaluate()
    assert len(calls) == 1
    assert metrics[0] == metrics[1] == metrics[2]
    assert host.agents.loaded_bytes == 0
    host.agents[1].parameters.mul_(1.5)
    again = host.evaluate()
    assert again[0] == again[2] == metrics[0]
    assert again[1] != metrics[1]


def test_agents_that_draw_their_own_weights_are_measured_each(make_host):
    host = make_host(2, individual_initialisation=True)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    metrics = host.evaluate()
    assert metrics[0] != metrics[1]


def test_agent_that_was_only_read_is_not_written_again(make_host, monkeypatch):
    host = make_host(3, state_bytes=1)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    host.train(1)
    host.evaluate()  # writes the one that was trained last
    written = []
    monkeypatch.setattr(host.agents._file, "write", written.append)
    host.evaluate()
    assert written == []
    host.close()


def test_agents_in_memory_come_first(make_host):
    host = make_host(4)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    for id in (3, 2):
        assert host.agents[id].id == id
    assert host.agents.order() == [2, 3, 0, 1]


def test_restored_states_go_to_disk_where_they_do_not_fit(make_host, tmp_path):
    host = make_host(3, state_bytes=1)
    host.begin(Arm(EXCHANGES["fedavg"](), 0.0))
    host.train(1)
    digests = host.snapshot(tmp_path)
    expected = {id: agent.parameters.clone() for id, agent in host.agents.items()}
    host.train(2)
    host.restore(tmp_path, digests)
    for id, parameters in expected.items():
        assert torch.equal(host.agents[id].parameters, parameters)
        assert save_state(host.agents[id].state, tmp_path / "again") == digests[id]
    host.close()
