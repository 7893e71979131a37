"""Agents take more of an average the less they have diverged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.exchange import Turn
from agents.exchange.parameters.fedavg import FedAvg
from agents.exchange.parameters.fedema import FedEMA
from protocols.messages import Weights
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.peer import Ring


def obey(learner, message, values, round, tau=0.7):
    payload = Weights(values=np.array(values, np.float32), weight=1.0, layout="layout")
    turn = Turn(round, 1, Direction.DOWN)
    FedEMA(tau=tau).merge(learner, [message(payload, 1, round, 1)], turn)


def test_moving_average_is_that_computed_by_hand(make_learner, message):
    learner = make_learner(parameters=torch.zeros(2))
    # |g - w| = 5: lambda = 0.7 / 5 = 0.14, so m = 0.7, and w = 0.3 g.
    obey(learner, message, [3.0, 4.0], 1)
    np.testing.assert_allclose(learner.parameters, [0.9, 1.2], rtol=1e-6)
    # |g - w| = 2.5: m = 0.14 * 2.5 = 0.35.
    obey(learner, message, [0.9 + 1.5, 1.2 + 2.0], 2)
    np.testing.assert_allclose(learner.parameters, [0.9 + 0.65 * 1.5, 1.2 + 0.65 * 2.0], rtol=1e-6)
    # |g - w| = 10: m = min(1.4, 1): the agent has gone too far, and stays.
    before = learner.parameters.clone()
    obey(learner, message, (before + torch.tensor([6.0, 8.0])).tolist(), 3)
    np.testing.assert_allclose(learner.parameters, before, rtol=1e-6)


def test_agent_that_has_not_diverged_sets_its_scale_later(make_learner, message):
    learner = make_learner(parameters=torch.zeros(2))
    obey(learner, message, [0.0, 0.0], 1)
    assert learner.exchange_state.scale is None
    obey(learner, message, [3.0, 4.0], 2)
    assert learner.exchange_state.scale == pytest.approx(0.14)


@pytest.mark.parametrize("topology", [Ring(), Layered()], ids=lambda topology: topology.kind)
def test_every_agent_keeps_tau_of_its_own_beside_the_common_result(make_society, topology):
    society = make_society(FedAvg(), topology)
    before = {id: agent.parameters.clone() for id, agent in society.host.agents.items()}
    society.run(1)
    results = {id: agent.parameters.clone() for id, agent in society.host.agents.items()}
    society = make_society(FedEMA(tau=0.4), topology)
    society.run(1)
    for id, agent in society.host.agents.items():
        assert torch.equal(agent.exchange_state.received, results[id])
        expected = 0.4 * before[id] + 0.6 * results[id]
        torch.testing.assert_close(agent.parameters, expected, rtol=1e-5, atol=1e-6)
