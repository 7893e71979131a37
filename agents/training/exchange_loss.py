"""Loss of a training step from the exchange."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.exchange.base import AnchorBatch, PrivateBatch
from agents.objectives.base import Neighbours, Reference
from agents.training.blueprint import Arm
from agents.training.learner import LocalLearner
from agents.training.local_batch import PreparedBatch
from agents.training.metrics import StepMetrics
from protocols.seeding import generator


def exchange_loss(
    agent: LocalLearner,
    arm: Arm,
    batch: PreparedBatch,
    pooled: tuple[Tensor, ...],
    metrics: StepMetrics,
) -> Tensor | None:
    """Return the summed losses of the exchange's parts on a batch, weights included, or None.

    Args:
        agent: the learner.
        arm: its exchange.
        batch: the batch.
        pooled: views `[B, W]` that an objective offers; without any, they are computed.
        metrics: counts the tokens of that computation.
    """
    private, anchors = exchange_views(agent, arm, batch, pooled, metrics)
    rng = generator(agent.seed, "exchange", agent.id, batch.documents.batch)
    losses: list[Tensor | None] = []
    for strategy, learner in agent.parts(arm.exchange):
        if strategy.learns_from_anchors and anchors.pooled:
            losses.append(strategy.loss(learner, anchors, rng))
        if strategy.learns_from_private and private.pooled:
            losses.append(strategy.private_loss(learner, private, rng))
    learnt = [loss for loss in losses if loss is not None]
    return torch.stack(learnt).sum() if learnt else None


def exchange_views(
    agent: LocalLearner,
    arm: Arm,
    batch: PreparedBatch,
    pooled: tuple[Tensor, ...],
    metrics: StepMetrics,
) -> tuple[PrivateBatch, AnchorBatch]:
    """Return the views of private texts and of anchors that the exchange takes; see `exchange_loss`."""
    documents, exchange = batch.documents, arm.exchange
    # Rows of a batch: private texts, then anchors. The exchange takes rows begin to end of them.
    border = len(documents.rows) - len(documents.anchors)
    takes_anchors = any(part.learns_from_anchors for part in exchange.parts)
    anchors = len(documents.anchors) if takes_anchors else 0
    begin = 0 if any(part.learns_from_private for part in exchange.parts) else border
    end = border + anchors
    if begin < border and len(pooled) < 2:
        pooled = ()  # losses on private texts compare two views of them
    views = tuple(view[begin:end] for view in pooled) if begin < end else ()
    if not views and begin < end:
        rng = generator(agent.seed, "exchange crops", agent.id, documents.batch)
        views, token_counts = agent.pool_crops(batch.texts[begin:end], rng)
        metrics.add_tokens(token_counts, anchors)
    own = tuple(view[: border - begin] for view in views) if begin < border else ()
    others = tuple(view[border - begin :] for view in views) if anchors else ()
    ids = torch.from_numpy(documents.anchors[:anchors]).to(agent.resident.device)
    return PrivateBatch(documents.batch, own), AnchorBatch(ids, others)


def neighbours_of(agent: LocalLearner, arm: Arm) -> Neighbours | None:
    """Return the neighbours' embeddings from the first part that offers them, or None."""
    for strategy, learner in agent.parts(arm.exchange):
        if strategy.offers_neighbours:
            return strategy.neighbours(learner)
    return None


def reference_of(agent: LocalLearner, arm: Arm) -> Reference | None:
    """Return received parameters from the first part that offers them, or None."""
    for strategy, learner in agent.parts(arm.exchange):
        if strategy.offers_reference:
            return strategy.reference(learner)
    return None
