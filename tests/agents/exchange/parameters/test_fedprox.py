"""A pull towards what was received."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.parameters.fedprox import FedProx
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring

RATE = 0.1


@pytest.mark.parametrize("mu", [0.01, 1.0])
def test_local_steps_are_those_of_a_hand_written_loop(train_plainly, quadratic, mu):
    host = train_plainly(FedProx(mu=mu), quadratic, 1, {"local_steps": 4, "learning_rate": RATE})
    (agent,) = host.agents.values()
    start = agent.parameters.double().numpy().copy()
    trained = np.zeros(len(start), dtype=bool)
    for slot in agent.resident.binding.layout.slots:
        trained[slot.start : slot.start + slot.length] = True
    w = start.copy()
    for _ in range(4):
        gradient = np.where(trained, w - 1.0, 0.0) + mu * (w - start)
        w -= RATE * gradient
    host.train(1)
    np.testing.assert_allclose(agent.parameters.numpy(), w, rtol=1e-5, atol=1e-6)


def test_pull_is_towards_the_last_result_and_before_one_towards_the_beginning(make_society):
    society = make_society(FedProx(mu=2.0), MasterSlave())
    agent = society.host.agents[4]
    exchange = society.exchange
    noise = agent.parameters - agent.exchange_state.received
    gradient = torch.ones_like(agent.parameters)
    exchange.correct(agent, gradient)
    torch.testing.assert_close(gradient, 1 + 2 * noise)
    society.run(1)
    gradient = torch.ones_like(agent.parameters)
    exchange.correct(agent, gradient)
    assert (gradient == 1).all()
    agent.parameters.add_(0.5)
    exchange.correct(agent, gradient)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 2.0))


@pytest.mark.parametrize("topology", [Ring(), MasterSlave()], ids=lambda topology: topology.kind)
def test_what_is_averaged_is_what_weights_average(make_society, topology):
    after = []
    for exchange in (FedProx(), FedAvg()):
        society = make_society(exchange, topology)
        society.run(1)
        after.append([agent.parameters.clone() for agent in society.host.agents.values()])
    assert all(torch.equal(a, b) for a, b in zip(*after, strict=True))
