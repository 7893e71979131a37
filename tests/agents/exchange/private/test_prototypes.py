"""Prototypes of private texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.exchange import Turn
from agents.exchange.base import PrivateBatch
from agents.exchange.private.prototypes import PrototypeExchange
from agents.exchange.private.sinkhorn import cluster
from protocols.messages import Prototypes
from protocols.seeding import generator
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring

EXCHANGE = PrototypeExchange(centroids=4, sample=10, ramp=1)
PEER = Turn(round=1, hop=0, direction=Direction.PEER)


def own_centroids(agent):
    points = agent.embed_private(10, 1)
    weights = torch.full((len(points),), agent.examples / len(points))
    return cluster(points, weights, 4, 0.05, generator(agent.seed, "own prototypes", agent.id, 1))


def joint(agent, parts):
    values, counts = (torch.cat(each) for each in zip(*parts, strict=True))
    rng = generator(agent.seed, "joint prototypes", agent.id, 1)
    return cluster(values, counts, 4, 0.05, rng)


def test_own_centroids_stand_for_all_private_texts(make_society):
    agents = make_society(EXCHANGE, Ring()).host.agents
    for agent in (agents[0], agents[4]):
        payload = EXCHANGE.compose(agent, PEER)
        assert payload.values.shape == (4, 64)
        assert payload.counts.sum() == pytest.approx(agent.examples)
        np.testing.assert_allclose(np.linalg.norm(payload.values, axis=1), 1.0, rtol=1e-5)


def test_peers_cluster_their_neighbourhood(make_society):
    society = make_society(EXCHANGE, Ring())
    agents = society.host.agents
    own = {id: own_centroids(agents[id]) for id in range(7)}
    society.run(1)
    for id in range(7):
        neighbours = [own[other] for other in sorted(((id - 1) % 7, (id + 1) % 7))]
        expected = joint(agents[id], [own[id], *neighbours])
        torch.testing.assert_close(agents[id].exchange_state.fused, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("topology", "children"),
    [
        (MasterSlave(master=3), {3: [0, 1, 2, 4, 5, 6]}),
        (Layered(), {1: [3, 4], 2: [5, 6], 0: [1, 2]}),
    ],
    ids=["master_slave", "layered"],
)
def test_parents_cluster_their_subtrees_and_the_roots_prototypes_are_for_everybody(
    make_society, topology, children
):
    society = make_society(EXCHANGE, topology)
    agents = society.host.agents
    said = {id: own_centroids(agents[id]) for id in range(7)}
    society.run(1)
    for parent, below in children.items():
        said[parent] = joint(agents[parent], [said[parent], *(said[id] for id in below)])
    root = list(children)[-1]
    total = sum(agent.examples for agent in agents.values())
    assert said[root][1].sum() == pytest.approx(total)
    for agent in agents.values():
        torch.testing.assert_close(agent.exchange_state.fused, said[root], rtol=1e-4, atol=1e-5)
        assert torch.equal(agent.exchange_state.fused[0], agents[root].exchange_state.fused[0])


@pytest.mark.parametrize("topology", [Ring(), Layered()], ids=lambda topology: topology.kind)
def test_a_sample_is_embedded_once_in_a_round(make_society, topology):
    society = make_society(EXCHANGE, topology)
    agent = society.host.agents[1]  # hears from above and from below
    agent.embed_private(10, 1)
    once, agent.state.embedded_tokens = agent.state.embedded_tokens, 0
    society.run(1)
    assert agent.state.embedded_tokens == once


def hear(learner, message, values, counts) -> None:
    turn = Turn(round=1, hop=1, direction=Direction.DOWN)  # as it is: nothing is clustered
    payload = Prototypes(values=np.asarray(values), counts=np.asarray(counts, np.float32))
    EXCHANGE.merge(learner, [message(payload, 1, 1, 1)], turn)


def slow_loss(views, prototypes, temperature, epsilon) -> torch.Tensor:
    """Swap predictions row by row, in double precision."""
    cosines = []
    for view in views:
        unit = view / view.norm(dim=1, keepdim=True)
        cosines.append(unit @ (prototypes / prototypes.norm(dim=1, keepdim=True)).T)
    total = torch.zeros((), dtype=torch.float64)
    for predicting, assigned in (cosines, cosines[::-1]):
        plan = torch.exp(assigned.detach() / epsilon)
        for _ in range(3):
            plan = plan / plan.sum(dim=0, keepdim=True)
            plan = plan / plan.sum(dim=1, keepdim=True)
        for row, target in zip(predicting, plan, strict=True):
            log_p = row / temperature - torch.log(torch.exp(row / temperature).sum())
            total = total - (target * log_p).sum() / len(predicting) / 2
    return total


def test_loss_predicts_from_each_view_the_assignment_of_the_other(make_learner, message, draw):
    learner = make_learner()
    values = draw(4, 5).numpy()
    hear(learner, message, values, [3.0, 0.0, 2.0, 7.0])
    views = tuple(draw(6, 5).requires_grad_() for _ in range(2))
    batch = PrivateBatch(0, (*views, draw(6, 5)))  # of more views, the first two count
    loss = EXCHANGE.private_loss(learner, batch, np.random.default_rng(0))
    copies = tuple(view.detach().double().requires_grad_() for view in views)
    kept = torch.from_numpy(values[[0, 2, 3]]).double()  # a prototype of no text is none
    expected = slow_loss(copies, kept, 0.1, 0.05)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    loss.backward()
    expected.backward()
    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_allclose(view.grad, copy.grad, rtol=1e-3, atol=1e-5)


def test_nothing_is_learnt_of_nobodys_prototypes(make_learner, message, draw):
    learner, batch = make_learner(), PrivateBatch(0, (draw(3, 5), draw(3, 5)))
    assert EXCHANGE.private_loss(learner, batch, np.random.default_rng(0)) is None
    hear(learner, message, draw(4, 5).numpy(), [0.0] * 4)
    assert EXCHANGE.private_loss(learner, batch, np.random.default_rng(0)) is None


def test_loss_is_finite_whatever_finite_numbers_a_neighbour_sends(make_learner, message, draw):
    learner = make_learner(examples=9)
    learner.embed_private = lambda count, round: torch.nn.functional.normalize(draw(9, 5), dim=-1)
    values = np.full((4, 5), 3e38, np.float32)
    values[1] = 0.0
    payload = Prototypes(values=values, counts=np.full(4, 3e38, np.float32))
    EXCHANGE.merge(learner, [message(payload, 1)], PEER)
    views = (draw(3, 5).requires_grad_(), draw(3, 5).requires_grad_())
    loss = EXCHANGE.private_loss(learner, PrivateBatch(0, views), np.random.default_rng(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(views[0].grad).all()


def test_fewer_texts_than_centroids_are_refused():
    with pytest.raises(
        ValidationError, match=r"exchange\.sample 8 is less than exchange\.centroids"
    ):
        PrototypeExchange(sample=8)
