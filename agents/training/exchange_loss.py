"""What a training step learns from the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from agents.exchange.base import AnchorBatch, PrivateBatch
from agents.exchange.parts import all_parts
from agents.objectives.base import Neighbours, Reference
from agents.training.blueprint import Arm
from agents.training.local_batch import Ready
from agents.training.metrics import StepMetrics
from protocols.seeding import generator

if TYPE_CHECKING:
    from agents.training.agent import Agent


def exchange_loss(
    agent: Agent, arm: Arm, ready: Ready, pooled: tuple[Tensor, ...], tally: StepMetrics
) -> Tensor | None:
    """Return what the exchange's parts learn from a batch, weights included; None for nothing.

    Args:
        agent: who learns.
        arm: from whom.
        ready: the batch.
        pooled: views `[B, W]` that an objective offers; if there are none, they are made.
        tally: counts what that costs.
    """
    private, anchors = shown(agent, arm, ready, pooled, tally)
    rng = generator(agent.seed, "exchange", agent.id, ready.reading.batch)
    losses: list[Tensor | None] = []
    for strategy, learner in all_parts(arm.exchange, agent):
        if strategy.learns_from_anchors and anchors.pooled:
            losses.append(strategy.loss(learner, anchors, rng))
        if strategy.learns_from_private and private.pooled:
            losses.append(strategy.private_loss(learner, private, rng))
    learnt = [loss for loss in losses if loss is not None]
    return torch.stack(learnt).sum() if learnt else None


def shown(
    agent: Agent, arm: Arm, ready: Ready, pooled: tuple[Tensor, ...], tally: StepMetrics
) -> tuple[PrivateBatch, AnchorBatch]:
    """Return the views of private texts and of anchors that the exchange wants; see `exchange_loss`."""
    reading, exchange = ready.reading, arm.exchange
    border = len(reading.rows) - len(reading.anchors)
    heard = len(reading.anchors) if any(part.learns_from_anchors for part in exchange.parts) else 0
    begin = 0 if any(part.learns_from_private for part in exchange.parts) else border
    end = border + heard
    if begin < border and len(pooled) < 2:
        pooled = ()  # what is learnt from private texts compares two views of them
    views = tuple(view[begin:end] for view in pooled) if begin < end else ()
    if not views and begin < end:
        rng = generator(agent.seed, "exchange crops", agent.id, reading.batch)
        views, token_counts = agent.pool_crops(ready.texts[begin:end], rng)
        tally.count(token_counts, heard)
    own = tuple(view[: border - begin] for view in views) if begin < border else ()
    others = tuple(view[border - begin :] for view in views) if heard else ()
    ids = torch.from_numpy(reading.anchors[:heard]).to(agent.resident.device)
    return PrivateBatch(reading.batch, own), AnchorBatch(ids, others)


def neighbours_of(agent: Agent, arm: Arm) -> Neighbours | None:
    """Return what the first part that knows neighbours' embeddings has of them; None for nothing."""
    for strategy, learner in all_parts(arm.exchange, agent):
        if strategy.offers_neighbours:
            return strategy.neighbours(learner)
    return None


def reference_of(agent: Agent, arm: Arm) -> Reference | None:
    """Return the parameters that the first part that knows any can look back at; None for nothing."""
    for strategy, learner in all_parts(arm.exchange, agent):
        if strategy.offers_reference:
            return strategy.reference(learner)
    return None
