"""Cross-correlation of two views over many agents' batches."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from agents.exchange.base import PrivateBatch, Turn
from agents.exchange.private.dcco import DCCO, moments, redundancy_loss
from protocols.messages import Statistics
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring

EXCHANGE = DCCO(ramp=1, redundancy=0.02)
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def unit(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(values, dim=-1)


def slow_loss(first, second, redundancy) -> float:
    """Take the correlations that NumPy finds, number by number."""
    width = first.shape[1]
    total = 0.0
    for i in range(width):
        for j in range(width):
            c = np.corrcoef(first[:, i], second[:, j])[0, 1]
            total += (1 - c) ** 2 if i == j else redundancy * c**2
    return total / width


def test_loss_of_moments_is_that_of_barlow_twins(draw):
    first, second = unit(draw(9, 4)), unit(draw(9, 4))
    loss = redundancy_loss(moments(first, second), 0.02)
    expected = slow_loss(first.double().numpy(), second.double().numpy(), 0.02)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def views_of(agents, encoder, private_views, arm) -> dict[int, list[torch.Tensor]]:
    return {id: private_views(agent, arm, encoder) for id, agent in agents.items()}


@pytest.mark.parametrize(
    "topology", [Ring(), MasterSlave(master=3), Layered()], ids=lambda topology: topology.kind
)
def test_agents_hold_the_moments_of_their_neighbours_or_of_everybody_else(
    make_society, topology, private_views
):
    society = make_society(EXCHANGE, topology)
    agents = society.host.agents
    views = {
        id: private_views(agent, society.host.arm, agent.encoder) for id, agent in agents.items()
    }
    society.run(1)
    for id, agent in agents.items():
        among = sorted(set(range(7)) - {id})
        if topology.kind == "ring":
            among = sorted({(id - 1) % 7, (id + 1) % 7})
        pooled = [torch.cat([views[other][view] for other in among]) for view in (0, 1)]
        held, weight = agent.exchange_state.others
        assert weight == pytest.approx(len(pooled[0]))
        torch.testing.assert_close(held, moments(*pooled).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("topology", [MasterSlave(master=3), Layered()], ids=lambda t: t.kind)
def test_gradients_of_fresh_moments_add_up_to_that_of_one_large_batch(
    make_society, topology, private_views, exchange_gradient, flat_gradient
):
    """Theorem of the source: equal encoders, one step, each gradient by its share of the texts."""
    society = make_society(EXCHANGE, topology)
    agents, arm = society.host.agents, society.host.arm
    for agent in agents.values():
        agent.parameters.copy_(agents[0].parameters)
    encoder = copy.deepcopy(agents[0].encoder)
    encoder.zero_grad(set_to_none=True)
    views = views_of(agents, encoder, private_views, arm)
    pooled = [torch.cat([views[id][view] for id in range(7)]) for view in (0, 1)]
    redundancy_loss(moments(*pooled), 0.02).backward()
    layout = agents[0].resident.binding.layout
    expected = flat_gradient(encoder, layout)
    society.run(1)
    total = torch.zeros_like(expected)
    for id, agent in agents.items():
        total += exchange_gradient(agent, arm) * len(views[id][0]) / len(pooled[0])
    assert expected.norm() > 1e-3
    assert (total - expected).norm() < 1e-3 * expected.norm()


def test_loss_is_that_of_the_joint_batch_and_its_gradient_of_full_strength(
    make_learner, message, draw
):
    learner = make_learner()
    others = [unit(draw(6, 5)) for _ in range(2)]
    sent = moments(*others).numpy()
    payload = Statistics(means=sent[:2], squares=sent[2:4], products=sent[4:], weight=6.0)
    EXCHANGE.merge(learner, [message(payload, 1)], PEER)
    views = tuple(draw(3, 5).requires_grad_() for _ in range(2))
    batch = PrivateBatch(0, (*views, draw(3, 5)))  # of more views, the first two count
    loss = EXCHANGE.private_loss(learner, batch, np.random.default_rng(0))
    joint = [torch.cat([unit(view), other]) for view, other in zip(views, others, strict=True)]
    expected = slow_loss(*(each.detach().double().numpy() for each in joint), 0.02)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    found = torch.autograd.grad(loss, views)
    pooled = torch.autograd.grad(redundancy_loss(moments(*joint), 0.02), views)
    for gradient, share in zip(found, pooled, strict=True):
        torch.testing.assert_close(gradient, share * 9 / 3, rtol=1e-3, atol=1e-5)


def test_loss_is_finite_whatever_finite_numbers_a_neighbour_sends(make_learner, message, draw):
    for value in (0.0, 3e38):
        learner = make_learner()
        full = np.full((5, 5), value, np.float32)
        payload = Statistics(means=-full[:2], squares=full[:2], products=full, weight=2.0**53)
        EXCHANGE.merge(learner, [message(payload, 1)], PEER)
        views = (draw(1, 5).requires_grad_(), draw(1, 5).requires_grad_())
        loss = EXCHANGE.private_loss(learner, PrivateBatch(0, views), np.random.default_rng(0))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(views[0].grad).all()


def test_nothing_is_learnt_before_the_first_exchange(make_learner, draw):
    batch = PrivateBatch(0, (draw(3, 5), draw(3, 5)))
    assert EXCHANGE.private_loss(make_learner(), batch, np.random.default_rng(0)) is None
