"""Comparing a loss with a slow one; an agent that sees a batch through an objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch


def numeric_gradient(function: Any, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] += step
        above = function(moved)
        moved[index] -= 2 * step
        gradient[index] = (above - function(moved)) / (2 * step)
    return gradient


@pytest.fixture(scope="session")
def check() -> Callable[..., None]:
    """Compare a loss of float64 tensors with a slow one of arrays: value, and each gradient."""

    def compare(fast: Any, slow: Any, *inputs: np.ndarray) -> None:
        tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
        loss = fast(*tensors)
        loss.backward()
        assert loss.shape == ()
        np.testing.assert_allclose(loss.item(), slow(*inputs), rtol=1e-10, atol=1e-12)
        for place, tensor in enumerate(tensors):

            def one(x: np.ndarray, place: int = place) -> float:
                return slow(*inputs[:place], x, *inputs[place + 1 :])

            np.testing.assert_allclose(
                tensor.grad.numpy(), numeric_gradient(one, inputs[place]), rtol=1e-4, atol=1e-6
            )

    return compare


@pytest.fixture
def look(documents):
    """Take an agent's next step under an objective: the loss of a batch, and its inputs.

    The objective's state, anchors and neighbours take part as in training; nothing is learnt.
    """
    from agents.objectives import RawBatch, Step
    from agents.text.tokens import Text

    def make(objective, agent, index=0, rows=range(6), **fields):
        texts = [Text.row(documents, row) for row in rows]
        resident, rng = agent.resident, np.random.default_rng(index)
        prepared = objective.prepare(RawBatch(texts, resident.collate, agent.setting, rng))
        step = Step(
            agent.encoder,
            resident.to_device(prepared),
            rng,
            index=index,
            state=agent.state.objectives[0],
            snapshot=agent.parameters.clone,
            under=resident.under,
            **fields,
        )
        return objective.loss(step), step

    return make


@pytest.fixture
def make_agent(make_host):
    """Make an agent that trains on one objective, with its heads."""
    from agents.config import EncoderConfig
    from agents.exchange.isolated import Isolated
    from agents.training.blueprint import Arm

    def make(objective, projection=0, dropout=0.0, **training):
        encoder = EncoderConfig(preset="nano", dropout=dropout, projection=projection)
        host = make_host(1, encoders=(encoder,), objectives=(objective,), training=training)
        host.begin(Arm(Isolated(), 0.0))
        return host.agents[0]

    return make
