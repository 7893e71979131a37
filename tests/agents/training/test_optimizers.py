"""Schedules in closed form; optimizers through the trainer against PyTorch's own on plain modules."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.objectives import functional
from agents.training import trainer
from agents.training.blueprint import Arm
from agents.training.optimizers import SGD, Adafactor, AdamW, clip, learning_rate_factor

ALONE = Arm(Isolated(), 0.25)


@pytest.mark.parametrize("warmup", [0, 1, 4, 50])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "inverse_sqrt"])
def test_schedule_has_its_closed_form_at_every_step(schedule, warmup):
    steps = 20
    for step in range(25):
        done = (step - warmup) / (steps - warmup) if steps > warmup else 0.0
        if step < warmup:
            expected = (step + 1) / warmup
        else:
            expected = {
                "constant": 1.0,
                "linear": max(0.0, 1.0 - done),
                "cosine": (1.0 + math.cos(math.pi * min(1.0, done))) / 2,
                "inverse_sqrt": math.sqrt(max(1, warmup) / (step + 1)),
            }[schedule]
        actual = learning_rate_factor(schedule, step, warmup, steps)
        assert actual == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "inverse_sqrt"])
def test_schedule_rises_to_its_peak_and_never_beyond(schedule):
    factors = [learning_rate_factor(schedule, step, 5, 40) for step in range(40)]
    assert max(factors) == factors[4] == 1.0
    assert factors[:5] == sorted(factors[:5])
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert min(factors) > 0.0
    if schedule in ("linear", "cosine"):
        assert learning_rate_factor(schedule, 40, 5, 40) == 0.0


def test_schedules_agree_with_those_of_transformers():
    from transformers import (
        get_cosine_schedule_with_warmup,
        get_inverse_sqrt_schedule,
        get_linear_schedule_with_warmup,
    )

    def factors(make, **options):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer, num_warmup_steps=6, **options)
        return [schedule.lr_lambdas[0](step) for step in range(30)]

    mine = {
        name: [learning_rate_factor(name, step, 6, 30) for step in range(30)]
        for name in ("linear", "cosine", "inverse_sqrt")
    }
    # Theirs begin the warm-up at zero, a step earlier; from its end on they are the same.
    linear = factors(get_linear_schedule_with_warmup, num_training_steps=30)
    cosine = factors(get_cosine_schedule_with_warmup, num_training_steps=30)
    np.testing.assert_allclose(mine["linear"][6:], linear[6:])
    np.testing.assert_allclose(mine["cosine"][6:], cosine[6:])
    np.testing.assert_allclose(mine["linear"][:6], linear[1:7])
    root = factors(get_inverse_sqrt_schedule)
    np.testing.assert_allclose(mine["inverse_sqrt"][5:29], root[6:])


@pytest.mark.parametrize("largest", [None, 0.5, 1.0, 1e6])
def test_clip_is_clip_grad_norm_of_one_tensor(largest):
    gradient = torch.randn(100, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.Parameter(torch.zeros(100))
    plain.grad = gradient.clone()
    if largest is not None:
        torch.nn.utils.clip_grad_norm_([plain], largest)
    clip(gradient, largest)
    torch.testing.assert_close(gradient, plain.grad)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(momentum=0.0, nesterov=True), "nesterov needs a momentum"),
        (lambda: AdamW(betas=(0.9, 1.0)), "betas must be in"),
        (lambda: Adafactor(clip=0.5), "greater than or equal to 1"),
        (lambda: SGD(betas=(0.9, 0.9)), "Extra inputs"),
    ],
)
def test_optimizers_that_cannot_be_are_refused(make, words):
    with pytest.raises(ValidationError, match=words):
        make()


def plain_optimizer(kind, options, groups):
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=1.0, **options)
    if kind == "adafactor":
        return torch.optim.Adafactor(groups, lr=1.0, foreach=False, **options)
    return torch.optim.AdamW(groups, lr=1.0, **options)


def host_of(make_host, agents=1, **training):
    encoder = EncoderConfig(preset="nano", dropout=0.0, projection=8)
    steps = {"learning_rate": 0.02, "warmup_steps": 2, "schedule": "linear", "clip_norm": None}
    host = make_host(agents, encoders=(encoder,), training={**steps, **training})
    host.begin(ALONE)
    return host


def train_plainly(agent, make_optimizer, accumulate=1) -> torch.nn.Module:
    """Train a copy of an agent's encoder on the agent's next batches, in a plain loop."""
    training = agent.resident.blueprint.training
    model = copy.deepcopy(agent.encoder).train()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    for _, parameter in named:
        # Off the agent's buffer.
        parameter.data, parameter.grad = parameter.data.clone(), None
    groups = [
        {"params": [p for _, p in named if p.dim() > 1], "weight_decay": training.weight_decay},
        {"params": [p for _, p in named if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = make_optimizer(groups)
    batches = [job() for job in trainer.jobs(agent, ALONE)]
    for step in range(training.local_steps):
        losses = []
        for ready in batches[step * accumulate : (step + 1) * accumulate]:
            views = ready.inputs[0]["views"]
            ids, mask = (torch.from_numpy(a) for a in (views.input_ids, views.attention_mask))
            first, second = model.projection(model(ids, mask)).chunk(2)
            losses.append(functional.info_nce(first, second, 0.05))
        factor = learning_rate_factor("linear", step, 2, training.steps)
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * factor
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    return model


def distance(agent, model) -> tuple[float, float]:
    """Return how far apart the parameters are at most, and how far at most they have moved."""
    mine = dict(agent.encoder.named_parameters())
    initial = agent.resident.new_state(agent.id).parameters
    start = {slot.name: slot.view(initial) for slot in agent.resident.binding.layout.slots}
    apart = moved = 0.0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            apart = max(apart, (mine[name] - parameter).abs().max().item())
            moved = max(moved, (parameter - start[name]).abs().max().item())
    return apart, moved


@pytest.mark.parametrize(
    ("optimizer", "plain"),
    [
        ({"kind": "sgd", "momentum": 0.0}, {"momentum": 0.0}),
        ({"kind": "sgd"}, {"momentum": 0.9}),
        ({"kind": "sgd", "momentum": 0.8, "nesterov": True}, {"momentum": 0.8, "nesterov": True}),
        ({"kind": "adafactor"}, {}),
        (
            {"kind": "adafactor", "decay": -0.5, "clip": 1.5},
            {"beta2_decay": -0.5, "d": 1.5},
        ),
        (
            {"kind": "adamw", "betas": (0.8, 0.95), "epsilon": 1e-6},
            {"betas": (0.8, 0.95), "eps": 1e-6},
        ),
    ],
    ids=["sgd", "momentum", "nesterov", "adafactor", "adafactor set", "adamw set"],
)
def test_optimizer_through_the_trainer_is_that_of_pytorch_on_a_plain_module(
    make_host, optimizer, plain
):
    options = {"optimizer": optimizer, "local_steps": 6, "weight_decay": 0.1}
    host = host_of(make_host, agents=2, **options)
    models = {
        id: train_plainly(agent, lambda groups: plain_optimizer(optimizer["kind"], plain, groups))
        for id, agent in host.agents.items()
    }
    # Both agents, in turns in one module, each with its own state.
    host.train(1)
    for id, agent in host.agents.items():
        apart, moved = distance(agent, models[id])
        assert moved > 1e-3
        # Where a gradient is nearly nothing, Adam's step is as large as elsewhere and its sign is rounding.
        assert apart < 1e-2 * moved, id


@pytest.mark.parametrize("kind", ["sgd", "adafactor", "adamw"])
def test_state_of_every_optimizer_goes_on_from_a_copy_to_the_same_bits(make_host, kind):
    options = {"optimizer": {"kind": kind}, "local_steps": 3}
    agent, resumed = (host_of(make_host, **options).agents[0] for _ in range(2))
    agent.train(ALONE, 1)
    resumed.state = copy.deepcopy(agent.state)
    for one in (agent, resumed):
        one.train(ALONE, 2)
    assert torch.equal(agent.parameters, resumed.parameters)


def test_accumulated_batches_give_the_mean_of_their_gradients(make_host):
    options = {"optimizer": {"kind": "sgd", "momentum": 0.0}, "local_steps": 3, "accumulate": 3}
    agent = host_of(make_host, batch_size=4, **options).agents[0]
    model = train_plainly(
        agent, lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.0), accumulate=3
    )
    metrics = agent.train(ALONE, 1)
    apart, moved = distance(agent, model)
    assert apart < 1e-4 * max(moved, 1e-2)
    assert metrics["steps"] == agent.state.step == 3
    assert agent.state.batches == 9


def test_accumulated_gradients_are_clipped_together(make_host):
    norms = []
    host = host_of(make_host, clip_norm=0.01, accumulate=4, local_steps=1)
    resident = host.residents[0]
    resident.optimizer.register_step_pre_hook(
        lambda *_: norms.append(resident.binding.gradient.norm().item())
    )
    host.train(1)
    assert norms == [pytest.approx(0.01, rel=1e-3)]
