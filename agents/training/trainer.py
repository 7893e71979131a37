"""H local steps of one agent."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.exchange.base import PrivateBatch
from agents.exchange.parts import all_parts
from agents.objectives.base import Draft, LossOutput, Step
from agents.text.batch import Batch
from agents.text.tokens import Text
from agents.training.blueprint import Arm
from agents.training.exchange_loss import exchange_loss, neighbours_of, reference_of, shown
from agents.training.local_batch import Reading, Ready
from agents.training.metrics import StepMetrics
from agents.training.optimizers import clip, learning_rate_factor
from agents.training.prefetch import Prefetcher
from agents.views.mlm_fill import fill_masks
from protocols.errors import TrainingError
from protocols.seeding import derive, generator

if TYPE_CHECKING:
    from agents.training.agent import Agent


def steps_of(agent: Agent) -> int:
    """Return the local steps of a round: none for an agent of which nothing is trained, a teacher."""
    trained = len(agent.resident.binding.gradient)
    return agent.resident.blueprint.training.local_steps if trained else 0


def jobs(agent: Agent, arm: Arm) -> Iterator[Callable[[], Ready]]:
    """Yield what prepares an agent's batches of a round, one function each, in their order.

    The functions may run in any thread at any time: they depend on the blueprint alone.
    """
    training = agent.resident.blueprint.training
    batches = steps_of(agent) * training.accumulate
    for reading in agent.readings(arm.anchor_fraction, batches):
        yield partial(_prepare, agent, reading)


def train(
    agent: Agent, arm: Arm, round: int, batches: Prefetcher[Ready] | None = None
) -> dict[str, float]:
    """Take an agent through the local steps of a round.

    What is drawn (documents, views, dropout, the neighbour to learn from) depends on the run's seed, the
    agent and the step alone.

    Args:
        agent: who learns.
        arm: what it learns from others.
        round: for messages.
        batches: its batches, prepared ahead; None prepares each when it is due.

    Returns:
        ``loss``, unless nothing of the agent is trained, and, where there was one, ``exchange_loss`` (means
        over the batches, weights included), ``steps``, ``embedded_tokens`` (of what was embedded without a
        gradient: by the objectives, and for others since the last round), ``tokens`` (all that went through
        the encoder with a gradient), ``anchor_tokens`` (those of public anchors among them),
        ``decoder_tokens`` where a decoder was trained, ``train_s``, ``wait_s`` (waiting for batches, part of
        ``train_s``) and what the objectives report.

    Raises:
        TrainingError: the loss is not finite.
    """
    batches = Prefetcher(jobs(agent, arm), workers=0) if batches is None else batches
    began, waited = time.perf_counter(), batches.wait_s
    steps = steps_of(agent)
    tally = StepMetrics(agent.resident.device)
    devices = [agent.resident.device] if agent.resident.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(agent.seed, "dropout", agent.id, agent.state.step))
        agent.encoder.train()
        for _ in range(steps):
            _step(agent, arm, batches, tally)
    metrics = tally.metrics()
    losses = [metrics.get("loss", 0.0), metrics.get("exchange_loss", 0.0)]
    if not np.isfinite(losses).all():
        raise TrainingError(
            f"the loss of agent-{agent.id} is not finite in round {round}",
            expected="a finite number",
            actual=f"{losses[0]} (of the exchange: {losses[1]})",
            hint="lower training.learning_rate, raise training.warmup_steps, or use precision fp32",
        )
    # What the exchange before this round cost in passes without a gradient.
    metrics["embedded_tokens"], agent.state.embedded_tokens = agent.state.embedded_tokens, 0
    metrics["steps"] = steps
    times = {"train_s": time.perf_counter() - began, "wait_s": batches.wait_s - waited}
    return {**metrics, **times}


def preview(agent: Agent, arm: Arm) -> PrivateBatch:
    """Return the private texts of an agent's next batch as its next training step will see them.

    The same documents, views and dropout, so the same pooled states to the bit, attached to the graph. What
    the agent and its objectives remember is left as it was.
    """
    ready = next(jobs(agent, arm))()
    state = agent.state
    kept = copy.deepcopy(state.objectives)
    devices = [agent.resident.device] if agent.resident.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), agent.resident.autocast():
            torch.manual_seed(derive(agent.seed, "dropout", agent.id, state.step))
            agent.encoder.train()
            tally = StepMetrics(agent.resident.device)
            _, pooled = _objectives(agent, arm, ready, tally)
            private = shown(agent, arm, ready, pooled, tally)[0]
            agent.state.embedded_tokens += tally.tokens
            return private
    finally:
        state.objectives = kept


def _prepare(agent: Agent, reading: Reading) -> Ready:
    resident = agent.resident
    texts = [Text.row(resident.group.tokens, int(row)) for row in reading.rows]
    prepared = []
    for index, objective in enumerate(resident.blueprint.objectives):
        rng = generator(agent.seed, "views", agent.id, reading.batch, index)
        prepared.append(objective.prepare(Draft(texts, resident.collate, agent.setting, rng)))
    return Ready(reading, texts, prepared)


def _step(agent: Agent, arm: Arm, batches: Prefetcher[Ready], tally: StepMetrics) -> None:
    resident, state = agent.resident, agent.state
    training = resident.blueprint.training
    resident.binding.gradient.zero_()
    for _ in range(training.accumulate):
        loss = _loss(agent, arm, next(batches), tally)
        if loss.requires_grad:  # not where an encoder is frozen and its head has heard nobody yet
            (loss / training.accumulate).backward()  # type: ignore[no-untyped-call]
    for strategy, learner in all_parts(arm.exchange, agent):
        strategy.correct(learner, resident.binding.gradient)
    clip(resident.binding.gradient, training.clip_norm)
    factor = learning_rate_factor(
        training.schedule, state.step, training.warmup_steps, training.steps
    )
    for group in resident.optimizer.param_groups:
        group["lr"] = training.learning_rate * factor
    resident.optimizer.step()
    state.step += 1


def _loss(agent: Agent, arm: Arm, ready: Ready, tally: StepMetrics) -> Tensor:
    """Return the total loss of one batch."""
    state, reading = agent.state, ready.reading
    with agent.resident.autocast():
        total, pooled = _objectives(agent, arm, ready, tally)
        learnt = exchange_loss(agent, arm, ready, pooled, tally)
    tally.add(total, learnt)
    state.batches = reading.batch + 1
    state.read, state.anchors_read = reading.read, reading.anchors_read
    return total if learnt is None else total + learnt


def _objectives(
    agent: Agent, arm: Arm, ready: Ready, tally: StepMetrics
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the weighted loss and the first pooled views that an objective offers."""
    resident = agent.resident
    objectives = resident.blueprint.objectives
    total = torch.zeros((), device=resident.device)
    pooled: tuple[Tensor, ...] = ()
    for index, objective in enumerate(objectives):
        step = Step(
            encoder=agent.encoder,
            inputs=_inputs(agent, ready, index),
            rng=generator(agent.seed, "objective", agent.id, ready.reading.batch, index),
            index=agent.state.step,
            steps=resident.blueprint.training.steps,
            memory=agent.state.objectives[index],
            micro_batch_tokens=resident.blueprint.training.micro_batch_tokens,
            pass_tokens=resident.pass_tokens,
            anchors=ready.reading.anchors,
            neighbours=neighbours_of(agent, arm) if objective.wants_neighbours else None,
            reference=reference_of(agent, arm) if objective.wants_reference else None,
            snapshot=agent.parameters.clone,
            under=resident.under,
        )
        result: LossOutput = objective.loss(step)
        total = total + objective.weight * result.loss
        pooled = pooled or result.pooled
        tally.tell(objective.kind if len(objectives) > 1 else None, result)
        tally.count(result.token_counts, len(ready.reading.anchors))
        agent.state.embedded_tokens += result.embedded_tokens
    return total, pooled


def _inputs(agent: Agent, ready: Ready, index: int) -> dict[str, Any]:
    """Move an objective's inputs to the device and replace mask tokens left for infilling."""
    resident = agent.resident
    inputs = resident.to_device(ready.prepared[index])
    for name, batch in inputs.items():
        if isinstance(batch, Batch) and batch.infill is not None:
            seed = derive(agent.seed, "blanks", agent.id, ready.reading.batch, index, name)
            tokens = resident.blueprint.training.micro_batch_tokens
            inputs[name] = fill_masks(
                agent.encoder, batch, resident.vocabulary.infill_candidates, seed, tokens
            )
            infill_B = batch.infill.any(dim=1).cpu().numpy()
            agent.state.embedded_tokens += int(batch.lengths[infill_B].sum())
    return inputs
