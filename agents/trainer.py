"""H local steps of one agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from agents.blueprint import Arm
from agents.exchange.base import AnchorBatch
from agents.objectives.base import Objected, Step
from protocols.errors import TrainingError
from protocols.seeding import derive, generator

if TYPE_CHECKING:
    from agents.agent import Agent

_TINY = 1e-6


def train(agent: Agent, arm: Arm, round: int) -> dict[str, float]:
    """Take an agent through the local steps of a round.

    What is drawn (documents, views, dropout, the neighbour to learn from) depends on the run's seed, the
    agent and the step alone.

    Returns:
        ``loss`` and, where there was one, ``exchange_loss`` (means over the steps, weights included),
        ``steps``, ``embedded_tokens`` (of anchors, without a gradient, since the last round),
        ``tokens`` (all that went through the encoder with a gradient), ``anchor_tokens``
        (those of public anchors among them) and ``train_s``.

    Raises:
        TrainingError: the loss is not finite.
    """
    began = time.perf_counter()
    training = agent.resident.blueprint.training
    tally = _Tally(agent.resident.device)
    devices = [agent.resident.device] if agent.resident.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(agent.seed, "dropout", agent.id, agent.state.step))
        agent.encoder.train()
        for _ in range(training.local_steps):
            _step(agent, arm, tally)
    metrics = tally.metrics()
    losses = [metrics["loss"], metrics.get("exchange_loss", 0.0)]
    if not np.isfinite(losses).all():
        raise TrainingError(
            f"the loss of agent-{agent.id} is not finite in round {round}",
            expected="a finite number",
            actual=f"{losses[0]} (of the exchange: {losses[1]})",
            mend="lower training.learning_rate, raise training.warmup_steps, or use precision fp32",
        )
    # What the exchange before this round cost in passes without a gradient.
    metrics["embedded_tokens"], agent.embedded_tokens = agent.embedded_tokens, 0
    return {**metrics, "train_s": time.perf_counter() - began}


class _Tally:
    """Sums over steps, kept on the device so that no step waits for a number."""

    def __init__(self, device: torch.device) -> None:
        self.loss = torch.zeros((), device=device)
        self.exchange_loss = torch.zeros((), device=device)
        self.steps = 0
        self.exchange_steps = 0
        self.tokens = 0
        self.anchor_tokens = 0

    def metrics(self) -> dict[str, float]:
        metrics = {
            "loss": float(self.loss) / self.steps,
            "steps": self.steps,
            "tokens": self.tokens,
            "anchor_tokens": self.anchor_tokens,
        }
        if self.exchange_steps:
            metrics["exchange_loss"] = float(self.exchange_loss) / self.exchange_steps
        return metrics


def _step(agent: Agent, arm: Arm, tally: _Tally) -> None:
    resident, state = agent.resident, agent.state
    documents, anchor_ids = agent.next_batch(arm.anchor_fraction)
    with resident.autocast():
        loss = _objectives(agent, documents, anchor_ids, tally)
        learnt = _exchange(agent, arm, documents, loss[1], anchor_ids, tally)
    total = loss[0]
    tally.loss += total.detach()
    if learnt is not None:
        tally.exchange_loss += learnt.detach()
        tally.exchange_steps += 1
        total = total + learnt
    resident.binding.gradient.zero_()
    total.backward()  # type: ignore[no-untyped-call]
    _update(agent)
    state.step += 1
    tally.steps += 1


def _objectives(
    agent: Agent, documents: list[np.ndarray], anchor_ids: np.ndarray, tally: _Tally
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the weighted loss and the first pooled views that an objective offers."""
    blueprint = agent.resident.blueprint
    total = torch.zeros((), device=agent.resident.device)
    pooled: tuple[Tensor, ...] = ()
    for index, objective in enumerate(blueprint.objectives):
        rng = generator(agent.seed, "views", agent.id, agent.state.step, index)
        step = Step(agent.encoder, documents, agent.resident.collate, rng)
        result: Objected = objective.loss(step)
        total = total + objective.weight * result.loss
        pooled = pooled or result.pooled
        tally.tokens += int(result.token_counts.sum())
        if len(anchor_ids):
            tally.anchor_tokens += int(result.token_counts[-len(anchor_ids) :].sum())
    return total, pooled


def _exchange(
    agent: Agent,
    arm: Arm,
    documents: list[np.ndarray],
    pooled: tuple[Tensor, ...],
    anchor_ids: np.ndarray,
    tally: _Tally,
) -> Tensor | None:
    """Return the exchange's loss on the batch's anchors, in views of their own if need be."""
    if not len(anchor_ids) or not arm.exchange.anchor_fraction:
        return None
    rng = generator(agent.seed, "exchange", agent.id, agent.state.step)
    views = tuple(view[-len(anchor_ids) :] for view in pooled)
    if not views:
        views, tokens = agent.pool_crops(documents[-len(anchor_ids) :], rng)
        tally.tokens += tokens
        tally.anchor_tokens += tokens
    ids = torch.from_numpy(anchor_ids).to(agent.resident.device)
    return arm.exchange.loss(agent, AnchorBatch(ids, views), rng)


def _update(agent: Agent) -> None:
    resident, training = agent.resident, agent.resident.blueprint.training
    gradient = resident.binding.gradient
    if training.clip_norm is not None:
        norm = torch.linalg.vector_norm(gradient)
        gradient.mul_((training.clip_norm / (norm + _TINY)).clamp(max=1.0))
    warm = min(1.0, (agent.state.step + 1) / max(1, training.warmup_steps))
    for group in resident.optimizer.param_groups:
        group["lr"] = training.learning_rate * warm
    resident.optimizer.step()
