"""An outer optimizer over the changes of many local steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.config import EncoderConfig
from agents.exchange import Society
from agents.exchange.parameters.diloco import DiLoCo
from agents.exchange.parameters.fedavg import FedAvg
from protocols.codecs.top_k import TopK
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Complete, ErdosRenyi, Ring
from protocols.topologies.schedule import OnePeerExponential
from protocols.wire.serialize import decode

PLAIN = DiLoCo(outer_learning_rate=1.0, outer_momentum=0.0)
TREES = [MasterSlave(), Layered(), Layered(levels=(1, 1, 2, 3))]
PEERS = [Ring(), ErdosRenyi(p=0.5), OnePeerExponential()]
by_topology = pytest.mark.parametrize("topology", TREES + PEERS, ids=str)


def parameters(society) -> np.ndarray:
    """`[7, P]` in float64."""
    agents = [society.host.agents[id] for id in range(7)]
    return np.stack([agent.parameters.double().numpy() for agent in agents])


def wander(society, round: int) -> None:
    """Move every agent, as training would, each its own way."""
    for id, agent in society.host.agents.items():
        draw = torch.Generator().manual_seed(100 * round + id)
        agent.parameters.add_(torch.randn(len(agent.parameters), generator=draw), alpha=0.02)


@by_topology
def test_one_local_step_at_rate_one_without_momentum_is_averaging(make_society, topology):
    after = []
    for exchange in (PLAIN, FedAvg()):
        society = make_society(exchange, topology)
        for round in (1, 2, 3):
            society.train(round)
            society.run(round)
        after.append(parameters(society))
    np.testing.assert_allclose(after[0], after[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("topology", TREES, ids=str)
def test_root_steps_as_nesterov_sgd_on_the_mean_change(make_society, topology):
    exchange = DiLoCo()
    society = make_society(exchange, topology)
    agents = society.host.agents
    examples = np.array([agents[id].examples for id in range(7)], dtype=np.float64)
    phi = torch.nn.Parameter(agents[0].exchange_state.received.double())
    outer = torch.optim.SGD([phi], lr=0.7, momentum=0.9, nesterov=True)
    for round in (1, 2, 3):
        mean = torch.from_numpy(examples @ parameters(society) / examples.sum())
        phi.grad = phi.detach() - mean
        outer.step()
        society.run(round)
        after = parameters(society)
        assert (after == after[0]).all(), "they hold the same bits"
        np.testing.assert_allclose(after[0], phi.detach().numpy(), rtol=1e-5, atol=1e-6)
        wander(society, round)
    assert [agents[id].exchange_state.velocity is not None for id in range(7)] == [True] + [
        False
    ] * 6


@pytest.mark.parametrize("topology", PEERS, ids=str)
def test_each_peer_steps_by_itself_and_mixes_what_comes_out(make_society, topology):
    society = make_society(DiLoCo(outer_learning_rate=0.5, outer_momentum=0.8), topology)
    agents = society.host.agents
    phis = [torch.nn.Parameter(agents[id].exchange_state.received.double()) for id in range(7)]
    outer = [torch.optim.SGD([phi], lr=0.5, momentum=0.8, nesterov=True) for phi in phis]
    for round in (1, 2, 3, 4):
        for phi, optimizer, theta in zip(phis, outer, parameters(society), strict=True):
            phi.grad = phi.detach() - torch.from_numpy(theta)
            optimizer.step()
        mixing = torch.from_numpy(society.network.mixing(round))
        mixed = mixing @ torch.stack([phi.detach() for phi in phis])
        for phi, result in zip(phis, mixed, strict=True):
            phi.data = result.clone()
        society.run(round)
        np.testing.assert_allclose(parameters(society), mixed.numpy(), rtol=1e-5, atol=1e-6)
        wander(society, round)


def test_all_with_all_is_what_a_master_does_if_documents_are_equal(make_society, monkeypatch):
    after = []
    for topology in (Complete(), MasterSlave()):
        society = make_society(DiLoCo(), topology)
        monkeypatch.setattr(type(society.host.agents[0]), "examples", 5)
        for round in (1, 2, 3):
            society.run(round)
            wander(society, round)
        after.append(parameters(society))
    np.testing.assert_allclose(after[0], after[1], rtol=1e-5, atol=1e-6)


def test_change_spans_all_rounds_since_the_last_exchange(make_society):
    exchange = DiLoCo(every=3)
    assert [round for round in range(1, 8) if exchange.is_due(round, rounds=7)] == [3, 6, 7]
    society = make_society(exchange, MasterSlave())
    agent = society.host.agents[5]
    society.run(3)
    start = agent.parameters.clone()
    for round in (4, 5, 6):
        wander(society, round)
    outbox = society.compose(society.scheduled_hops(6)[0])
    (sent,) = (
        decode(b).payload
        for e, b in zip(outbox.envelopes, outbox.handle, strict=True)
        if e.sender == 5
    )
    np.testing.assert_array_equal(sent.values, (start - agent.parameters).numpy())
    assert sent.weight == agent.examples


def test_relay_sends_the_mean_change_of_its_subtree(make_society):
    society = make_society(DiLoCo(), Layered())
    changes = {
        id: (agent.exchange_state.received - agent.parameters).double().numpy()
        for id, agent in society.host.agents.items()
    }
    up = [
        scheduled
        for scheduled in society.scheduled_hops(1)
        if scheduled.hop.direction is Direction.UP
    ]
    society.take(up[0])
    payload = decode(society.compose(up[1]).handle[0]).payload
    assert payload.weight == 11 + 17 + 20
    expected = (11 * changes[1] + 17 * changes[3] + 20 * changes[4]) / 48
    np.testing.assert_allclose(payload.values, expected, rtol=1e-5, atol=1e-7)


def test_peer_that_heard_nobody_keeps_what_it_has_learnt_for_next_time(make_society):
    society = make_society(DiLoCo(), Ring())
    agent = society.host.agents[0]
    (scheduled,) = society.scheduled_hops(1)
    start, local = agent.exchange_state.received.clone(), agent.parameters.clone()
    society.compose(scheduled)
    assert society.deliver(scheduled, 0, []) == []
    assert torch.equal(agent.exchange_state.received, start)
    assert torch.equal(agent.parameters, local)
    assert agent.exchange_state.velocity is None


def test_inner_optimizer_state_stays_private_and_goes_on(make_society):
    society = make_society(DiLoCo(), MasterSlave())
    society.train(1)
    state = society.host.agents[3].state
    before = torch.cat([kept["exp_avg"] for kept in state.optimizer])
    society.run(1)
    assert torch.equal(torch.cat([kept["exp_avg"] for kept in state.optimizer]), before)
    assert state.step == 1


def test_disagreement_does_not_enter_the_momentum(make_society):
    """Peers that have learnt nothing, but hold different parameters, mix them and do no more."""
    after = []
    for exchange in (DiLoCo(outer_momentum=0.9), FedAvg()):
        society = make_society(exchange, OnePeerExponential())
        for agent in society.host.agents.values():
            agent.exchange_state.received = agent.parameters.clone()
        for round in (1, 2, 3):
            society.run(round)
        after.append(parameters(society))
    np.testing.assert_array_equal(after[0], after[1])


def test_what_a_sparse_codec_loses_of_a_change_comes_with_the_next(make_society):
    """The messages that the root receives from a child add up to all changes but the last residual."""
    exchange = DiLoCo(codec=TopK(share=0.05), outer_learning_rate=1.0, outer_momentum=0.0)
    society = make_society(exchange, MasterSlave())
    child = society.host.agents[3]
    heard = changed = torch.zeros(len(child.parameters))
    for round in (1, 2, 3):
        wander(society, round)
        changed = changed + child.exchange_state.received - child.parameters
        up, down = society.scheduled_hops(round)
        outbox = society.compose(up)
        senders = [envelope.sender for envelope in outbox.envelopes]
        sent = decode(outbox.handle[senders.index(3)]).payload.values
        assert np.count_nonzero(sent) < 0.06 * len(sent)
        heard = heard + torch.from_numpy(sent.copy())
        assert society.deliver(up, 0, list(outbox.handle)) == []
        told = society.compose(down).handle
        # Parameters go down in full: a few of them alone would be an encoder of zeros.
        assert np.count_nonzero(decode(told[0]).payload.values) > 0.9 * len(sent)
        for id in range(1, 7):
            assert society.deliver(down, id, list(told)) == []
    lost = child.exchange_state.residual
    assert lost.abs().max() > 0
    torch.testing.assert_close(heard + lost, changed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("topology", TREES, ids=str)
def test_weights_are_the_tokens_since_the_last_result(make_society, topology):
    exchange = DiLoCo(weighting="tokens", outer_learning_rate=1.0, outer_momentum=0.0)
    society = make_society(exchange, topology)
    agents = [society.host.agents[id] for id in range(7)]
    for round in (1, 2, 3):
        trained = np.array([10 * round + 100 * (agent.id % 3) for agent in agents])
        for agent, tokens in zip(agents, trained, strict=True):
            agent.state.tokens += int(tokens)
        expected = trained @ parameters(society) / trained.sum()
        society.run(round)
        for each in parameters(society):
            np.testing.assert_allclose(each, expected, rtol=1e-5, atol=1e-6)
        wander(society, round)


def test_token_weights_are_refused_where_they_have_no_effect():
    encoders = (EncoderConfig(),) * 4
    with pytest.raises(ValueError, match="mixing"):
        DiLoCo(weighting="tokens").check(Society(encoders, 0, 8, network=Ring().build(4, seed=0)))
    with pytest.raises(ValueError, match="median"):
        DiLoCo(weighting="tokens", fusion="median")


def test_agent_counts_the_tokens_that_it_trains_on(make_society):
    society = make_society(DiLoCo(), MasterSlave())
    metrics = [society.train(round)[3] for round in (1, 2)]
    counted = sum(each["tokens"] + each.get("decoder_tokens", 0) for each in metrics)
    assert society.host.agents[3].state.tokens == counted > 0
