"""An outer optimizer that averages pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.parameters.noloco import NoLoCo
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.topologies.schedule import OnePeerExponential, RandomMatching
from protocols.wire.serialize import decode


def parameters(society) -> np.ndarray:
    """`[7, P]` in float64."""
    return np.stack([society.host.agents[id].parameters.double().numpy() for id in range(7)])


def slow(society) -> np.ndarray:
    """`[7, P]` in float64."""
    return np.stack(
        [society.host.agents[id].exchange_state.received.double().numpy() for id in range(7)]
    )


def wander(society, round: int) -> None:
    """Move every agent, as training would, each its own way."""
    for id, agent in society.host.agents.items():
        draw = torch.Generator().manual_seed(100 * round + id)
        agent.parameters.add_(torch.randn(len(agent.parameters), generator=draw), alpha=0.02)


@pytest.mark.parametrize("gamma", [0.7, 0.4], ids=["one vector", "gamma below beta"])
@pytest.mark.parametrize("topology", [RandomMatching(), OnePeerExponential(), Ring()], ids=str)
def test_outer_step_is_the_papers_equation(make_society, topology, gamma):
    alpha, beta = 0.5, 0.7
    exchange = NoLoCo(outer_momentum=alpha, outer_learning_rate=beta, consensus=gamma)
    society = make_society(exchange, topology)
    phi, delta = slow(society), np.zeros_like(slow(society))
    for round in (1, 2, 3, 4):
        wander(society, round)
        theta, mixing = parameters(society), society.network.mixing(round)
        expected_phi, expected_delta = phi.copy(), delta.copy()
        alone = [i for i in range(7) if mixing[i, i] == 1.0]
        for i in set(range(7)) - set(alone):
            change = sum(mixing[i, j] * (theta[j] - phi[j]) for j in range(7))
            mean = sum(mixing[i, j] * phi[j] for j in range(7))
            expected_delta[i] = alpha * delta[i] + beta * change - gamma * (phi[i] - mean)
            expected_phi[i] = phi[i] + expected_delta[i]
        society.run(round)
        phi, delta = expected_phi, expected_delta
        np.testing.assert_allclose(slow(society), phi, rtol=1e-5, atol=2e-6)
        expected = phi.copy()
        expected[alone] = theta[alone]  # who has no partner goes on from where it is
        np.testing.assert_allclose(parameters(society), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("topology", [MasterSlave(), Layered(levels=(1, 1, 2, 3))], ids=str)
def test_root_steps_with_classical_momentum_on_the_mean_change(make_society, topology):
    society = make_society(NoLoCo(consensus=0.3), topology)
    documents = np.array([society.host.agents[id].examples for id in range(7)], np.float64)
    phi = torch.nn.Parameter(torch.from_numpy(slow(society)[0]))
    outer = torch.optim.SGD([phi], lr=0.7, momentum=0.5)
    for round in (1, 2, 3):
        wander(society, round)
        mean = torch.from_numpy(documents @ parameters(society) / documents.sum())
        phi.grad = phi.detach() - mean
        outer.step()
        society.run(round)
        after = parameters(society)
        assert (after == after[0]).all(), "they hold the same bits"
        np.testing.assert_allclose(after[0], phi.detach().numpy(), rtol=1e-5, atol=3e-6)


def test_pairs_agree_more_and_more_where_nobody_trains(make_society):
    society = make_society(NoLoCo(), RandomMatching())
    for id, agent in society.host.agents.items():
        agent.parameters.fill_(float(id))
        agent.exchange_state.received.fill_(float(id))
    spread = []
    for round in range(1, 61):
        society.run(round)
        spread.append(parameters(society)[:, 0].std())
    assert spread[0] > 0.5
    assert spread[-1] < 1e-3


def test_message_is_theta_where_gamma_is_beta_and_one_vector_otherwise(make_society):
    for gamma in (0.7, 0.35):
        society = make_society(NoLoCo(consensus=gamma), Ring())
        wander(society, 1)
        outbox = society.compose(society.scheduled_hops(1)[0])
        envelope, buffer = outbox.envelopes[0], outbox.handle[0]
        agent = society.host.agents[envelope.sender]
        phi, theta = agent.exchange_state.received, agent.parameters
        expected = theta if gamma == 0.7 else phi + 2 * (theta - phi)
        sent = decode(buffer).payload.values
        np.testing.assert_allclose(sent, expected.numpy(), rtol=1e-5, atol=1e-6)
