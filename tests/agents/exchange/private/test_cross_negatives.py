"""Neighbours' private batches as negatives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.config import EncoderConfig
from agents.exchange import Society, Turn
from agents.exchange.base import PrivateBatch
from agents.exchange.private.cross_negatives import CrossNegatives
from agents.training.blueprint import Arm
from protocols.messages import EmbeddingGradients, Gradient, PrivateEmbeddings
from protocols.topologies.hops import Direction
from protocols.topologies.layered import Layered
from protocols.topologies.master_slave import MasterSlave
from protocols.topologies.peer import Ring
from protocols.topologies.schedule import OnePeerExponential
from protocols.wire.serialize import read_envelope

STALE = CrossNegatives(shares_private_embeddings=True, staleness=2, temperature=0.2, ramp=1)
EXACT = CrossNegatives(
    shares_private_embeddings=True, mode="differentiable", temperature=0.2, ramp=1, weight=1.5
)
TREES = [MasterSlave(master=3), Layered()]
RNG = np.random.default_rng(0)


def slow_contrast(views, others, temperature) -> torch.Tensor:
    """Contrast row by row: with the other view's rows, and with every row of the others."""
    unit = [view / view.norm(dim=1, keepdim=True) for view in views]
    extra = torch.cat([rows for pair in others for rows in pair])
    extra = extra / extra.norm(dim=1, keepdim=True)
    total = 0.0
    for queries, keys in (unit, unit[::-1]):
        candidates = torch.cat([keys, extra])
        for row, query in enumerate(queries):
            scores = torch.exp(candidates @ query / temperature)
            total = total - torch.log(scores[row] / scores.sum()) / len(queries) / 2
    return total


@pytest.mark.parametrize("topology", [Ring(), *TREES], ids=lambda topology: topology.kind)
def test_gradients_are_those_of_all_losses_in_one_graph(
    make_society, topology, private_views, exchange_gradient, flat_gradient
):
    society = make_society(EXACT, topology)
    agents, arm, network = society.host.agents, society.host.arm, society.network
    encoders = {id: copy.deepcopy(agent.encoder) for id, agent in agents.items()}
    for encoder in encoders.values():
        encoder.zero_grad(set_to_none=True)
    views = {id: private_views(agents[id], arm, encoders[id]) for id in agents}
    joint = sum(
        1.5 * slow_contrast(views[id], [views[j] for j in sorted(network.neighbours(id))], 0.2)
        for id in agents
    )
    joint.backward()
    society.run(1)
    for id, agent in agents.items():
        expected = flat_gradient(encoders[id], agent.resident.binding.layout)
        found = exchange_gradient(agent, arm)
        assert expected.norm() > 1e-3
        assert (found - expected).norm() < 1e-3 * expected.norm()
        agent.exchange_state.gradients = {}
        deaf = exchange_gradient(agent, arm)
        assert (deaf - expected).norm() > 0.05 * expected.norm()


def test_value_of_the_loss_is_that_of_my_own_negatives(make_society, private_views):
    society = make_society(EXACT, Ring())
    agents = society.host.agents
    views = {
        id: private_views(agent, society.host.arm, agent.encoder) for id, agent in agents.items()
    }
    society.run(1)
    expected = 1.5 * slow_contrast(views[0], [views[1], views[6]], 0.2)
    found = society.train(1)[0]["exchange_loss"]
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_gradients_serve_the_very_batch_that_was_sent_and_no_other(make_society):
    society = make_society(EXACT, Ring())
    society.run(1)
    assert all("exchange_loss" in metrics for metrics in society.train(1).values())
    assert all("exchange_loss" not in metrics for metrics in society.train(2).values())


def test_embeddings_are_those_of_the_next_step_with_its_dropout(make_host, monkeypatch):
    encoder = EncoderConfig(preset="nano", dropout=0.1)
    host = make_host(1, encoders=(encoder,), training={"local_steps": 1})
    host.begin(Arm(EXACT, 0.25))
    agent, seen = host.agents[0], []

    def keep(self, learner, private, rng):
        seen.append(private)

    turn = Turn(round=1, hop=0, direction=Direction.PEER)
    sent = EXACT.compose(agent, turn)
    assert agent.state.embedded_tokens > 0
    monkeypatch.setattr(CrossNegatives, "private_loss", keep)
    agent.train(host.arm, 1)
    assert (sent.batch, sent.values.shape) == (seen[0].batch, (2, agent.private_batch_size, 64))
    for said, pooled in zip(sent.values, seen[0].pooled, strict=True):
        unit = torch.nn.functional.normalize(pooled, dim=-1)
        assert np.array_equal(said, unit.detach().numpy())


def hear(exchange, learner, message, round, sent) -> None:
    turn = Turn(round=round, hop=0, direction=Direction.PEER)
    inbox = [
        message(PrivateEmbeddings(values=values.numpy(), batch=0), sender, round)
        for sender, values in sent.items()
    ]
    exchange.merge(learner, inbox, turn)


def test_stale_negatives_are_those_of_the_last_exchanges(make_learner, message, draw):
    learner = make_learner()
    sent = {round: {3: draw(2, 2, 5), 1: draw(2, 4, 5)} for round in (1, 2, 3)}
    del sent[3][1]
    views = tuple(draw(3, 5).requires_grad_() for _ in range(2))
    assert STALE.private_loss(learner, PrivateBatch(0, views), RNG) is None
    for round, kept in ((1, [1]), (2, [1, 2]), (3, [2, 3])):
        hear(STALE, learner, message, round, sent[round])
        others = [values.double() for each in kept for _, values in sorted(sent[each].items())]
        loss = STALE.private_loss(learner, PrivateBatch(7, (*views, views[0])), RNG)
        copies = [view.detach().double().requires_grad_() for view in views]
        expected = slow_contrast(copies, others, 0.2)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        found = torch.autograd.grad(loss, views)
        for gradient, slow in zip(found, torch.autograd.grad(expected, copies), strict=True):
            np.testing.assert_allclose(gradient, slow, rtol=1e-3, atol=1e-6)


def test_exact_negatives_are_those_of_this_batch_alone(make_learner, message, draw):
    learner = make_learner()
    hear(EXACT, learner, message, 1, {1: draw(2, 4, 5)})
    views = (draw(3, 5), draw(3, 5))
    assert EXACT.private_loss(learner, PrivateBatch(0, views), RNG) is not None
    assert EXACT.private_loss(learner, PrivateBatch(1, views), RNG) is None


def test_step_is_bounded_whatever_finite_numbers_a_neighbour_sends(make_learner, message, draw):
    learner = make_learner()
    hear(EXACT, learner, message, 1, {1: torch.full((2, 4, 5), 3e38), 2: torch.zeros(2, 4, 5)})
    turn = Turn(round=1, hop=1, direction=Direction.PEER, passage=1)
    hostile = EmbeddingGradients(values=np.full((2, 3, 5), 3e38, np.float32), batch=0)
    large = EmbeddingGradients(values=np.full((2, 3, 5), 1e4, np.float32), batch=0)
    EXACT.merge(learner, [message(hostile, 1, hop=1), message(large, 2, hop=1)], turn)
    views = (draw(3, 5).requires_grad_(), draw(3, 5).requires_grad_())
    loss = EXACT.private_loss(learner, PrivateBatch(0, views), RNG)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(views[0].grad).all()
    answers = [values.norm(dim=-1) for _, values in learner.exchange_state.gradients.values()]
    assert max(norms.max() for norms in answers) <= 1.5 / 0.2 * 1.001


def test_envelopes_say_what_the_gradient_means(make_society):
    def marks(exchange) -> list[Gradient]:
        society = make_society(exchange, Ring())
        found = []
        for scheduled in society.scheduled_hops(1):
            outbox = society.compose(scheduled)
            found.append({read_envelope(buffer).gradient for buffer in outbox.handle})
            for agent in range(7):
                assert society.deliver(scheduled, agent, society.addressed(outbox, agent)) == []
        return [mark for (mark,) in found]

    every = STALE.model_copy(update={"every": 3})
    assert marks(every) == [Gradient(kind="stale", staleness=6)]
    assert marks(EXACT) == [Gradient(kind="differentiable"), Gradient()]


def test_it_must_be_switched_on_by_a_name_that_says_what_leaks():
    for given in ({}, {"shares_private_embeddings": False}):
        with pytest.raises(ValidationError, match=r"recovered.*shares_private_embeddings to true"):
            CrossNegatives(**given)


def test_staleness_of_exact_gradients_is_refused():
    with pytest.raises(ValidationError, match=r"exchange\.staleness 3.*mode to stale"):
        CrossNegatives(shares_private_embeddings=True, mode="differentiable", staleness=3)


@pytest.mark.parametrize("name", ["local_steps", "accumulate"])
def test_exact_gradients_are_refused_where_a_batch_is_not_a_step(name):
    society = Society((EncoderConfig(),), 0, 64, **{name: 2})
    with pytest.raises(ValueError, match=rf"training\.{name} is 2; set training\.{name} to 1"):
        EXACT.check(society)
    STALE.check(society)


def test_exact_gradients_are_refused_where_nobody_can_answer():
    def society(topology) -> Society:
        return Society((EncoderConfig(),), 0, 64, network=topology.build(7, seed=0))

    with pytest.raises(ValueError, match=r"mode=differentiable.*such as ring"):
        EXACT.check(society(OnePeerExponential()))
    STALE.check(society(OnePeerExponential()))
    for topology in (Ring(), *TREES):
        EXACT.check(society(topology))
