"""Contrast between the models that an agent has been."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from agents.exchange.parameters.fedavg import FedAvg
from agents.objectives import InfoNCE, Moon
from agents.objectives.base import Reference
from agents.objectives.moon import model_contrast
from agents.training.blueprint import Arm


def slow(own, received, previous, temperature=0.5):
    """A two-way softmax for each row, one after another."""
    total = 0.0
    for z, there, here in zip(own, received, previous, strict=True):
        positive, negative = (
            sum(a * b for a, b in zip(z, other, strict=True))
            / math.sqrt(sum(a * a for a in z))
            / math.sqrt(sum(b * b for b in other))
            for other in (there, here)
        )
        up, down = math.exp(positive / temperature), math.exp(negative / temperature)
        total -= math.log(up / (up + down))
    return total / len(own)


def test_values_and_gradients_are_those_of_a_slow_reference(check):
    rng = np.random.default_rng(0)
    own, received, previous = rng.normal(size=(3, 4, 5))
    check(lambda *inputs: model_contrast(*inputs, 0.5), slow, own, received, previous)


def moved(agent, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return agent.parameters + 0.05 * torch.randn(len(agent.parameters), generator=draw)


@pytest.mark.parametrize("projection", [0, 8])
def test_loss_is_that_of_three_encoders(make_agent, look, projection):
    """Embedded by separate copies of the encoder, each with parameters of its own."""
    import copy

    objective = Moon(temperature=0.2)
    agent = make_agent(objective, projection=projection)
    reference = Reference(moved(agent, 1), moved(agent, 2))
    result, step = look(objective, agent, reference=reference)
    layout = agent.resident.binding.layout
    embedded = []
    for flat in (agent.parameters, *reference):
        encoder = copy.deepcopy(agent.encoder).eval()
        named = dict(encoder.named_parameters())
        for slot in layout.slots:
            named[slot.name].data = slot.view(flat).clone()
        with torch.no_grad():
            pooled = encoder.pool_batch(step.inputs["views"])
            embedded.append(encoder.projection(pooled).double().numpy())
    assert result.loss.item() == pytest.approx(slow(*embedded, temperature=0.2), rel=1e-4)


def test_gradient_goes_through_the_agents_own_embedding_alone(make_agent, look):
    objective = Moon()
    agent = make_agent(objective)
    gradient = agent.resident.binding.gradient
    kept = []
    for received in (moved(agent, 1), agent.parameters.clone()):
        gradient.zero_()
        before = agent.parameters.clone()
        # What is positive and negative at once teaches nothing.
        previous = received if kept else moved(agent, 2)
        result, _ = look(objective, agent, reference=Reference(received, previous))
        result.loss.backward()
        kept.append((result.loss.item(), gradient.abs().max().item()))
        assert torch.equal(agent.parameters, before)
    assert kept[0][1] > 1e-4
    assert kept[1][0] == pytest.approx(math.log(2))
    assert kept[1][1] < 1e-6


def test_what_is_looked_back_at_has_no_dropout(make_agent, look):
    objective = Moon()
    agent = make_agent(objective, dropout=0.5)
    agent.encoder.train()
    reference = Reference(agent.parameters.clone(), agent.parameters.clone())
    result, _ = look(objective, agent, reference=reference)
    assert result.loss.item() == pytest.approx(math.log(2), rel=1e-6)
    assert agent.encoder.training


def test_nothing_is_learnt_before_there_is_something_to_look_back_at(make_agent, look):
    objective = Moon()
    result, _ = look(objective, make_agent(objective))
    assert result.loss.item() == 0.0
    assert result.token_counts.tolist() == [0] * 6
    assert result.pooled == ()


def test_trainer_hands_over_what_the_exchange_remembers(make_host):
    """The loss is 0 before an exchange, and something after it."""
    host = make_host(2, objectives=(InfoNCE(), Moon()), training={"local_steps": 1})
    exchange = FedAvg()
    host.begin(Arm(exchange, 0.0))
    report = host.train(1)[0]
    assert (report["moon_loss"], report["embedded_tokens"]) == (0.0, 0)
    agent = host.agents[0]
    assert agent.wants_reference
    agent.exchange_state.previous, agent.exchange_state.received = moved(agent, 1), moved(agent, 2)
    second = host.train(2)[0]
    assert second["moon_loss"] > 0.1
    # Of three passes over one view, two are without a gradient; info_nce trains on two views more.
    assert 0 < second["embedded_tokens"] < second["tokens"]
