"""H local steps of one agent."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor

from agents.exchange.base import PrivateBatch
from agents.models.flat_parameters import copy_buffers
from agents.objectives.base import RawBatch
from agents.text.tokens import Text
from agents.training.blueprint import Arm
from agents.training.config import TrainingConfig
from agents.training.exchange_loss import exchange_loss, exchange_views
from agents.training.learner import LocalLearner
from agents.training.local_batch import BatchRows, PreparedBatch
from agents.training.local_loss import local_loss
from agents.training.metrics import StepMetrics
from agents.training.optimizers import clip, learning_rate_factor
from agents.training.prefetch import Prefetcher
from agents.training.state import AgentState
from protocols.errors import TrainingError
from protocols.seeding import derive, generator


def steps_of(agent: LocalLearner) -> int:
    """Return the local steps of a round: 0 for an agent without trained parameters, such as a teacher."""
    trained = len(agent.resident.binding.gradient)
    return agent.resident.blueprint.training.local_steps if trained else 0


def jobs(agent: LocalLearner, arm: Arm) -> Iterator[Callable[[], PreparedBatch]]:
    """Yield functions that prepare an agent's batches of a round, one each, in their order.

    The functions may run in any thread at any time: they depend only on the blueprint.
    """
    training = agent.resident.blueprint.training
    batches = steps_of(agent) * training.accumulate
    for documents in agent.batch_rows(arm.anchor_fraction, batches):
        yield partial(_prepare, agent, documents)


def train(
    agent: LocalLearner, arm: Arm, round: int, batches: Prefetcher[PreparedBatch] | None = None
) -> dict[str, float]:
    """Take an agent through the local steps of a round.

    All draws (documents, views, dropout, the neighbour to learn from) depend on the run's seed, the agent
    and the step only.

    Args:
        agent: agent to train.
        arm: its exchange.
        round: number of the round, for error messages.
        batches: its batches, prepared ahead; None prepares each when it is due.

    Returns:
        ``loss``, unless nothing of the agent is trained, and, if there was one, ``exchange_loss`` (means
        over the batches, weights included), ``steps``, ``embedded_tokens`` (of passes without a gradient: by
        the objectives, and for messages since the last round), ``tokens`` (all that went through the encoder
        with a gradient), ``anchor_tokens`` (those of public anchors among them), ``decoder_tokens`` if a
        decoder was trained, ``train_s``, ``wait_s`` (waiting for batches, part of ``train_s``) and the
        metrics of the objectives. Where the arm has the round of an agent that diverges undone, ``diverged``
        is 1 in such a round, and numbers that are not finite are left out.

    Raises:
        TrainingError: the loss, or a parameter, is not finite, and the arm does not undo that.
    """
    training = RoundOfTraining(agent, arm, round)
    batches = Prefetcher(jobs(agent, arm), workers=0) if batches is None else batches
    began, waited = time.perf_counter(), batches.wait_s
    with _dropout_of(agent):
        agent.encoder.train()
        for _ in range(steps_of(agent)):
            _step(agent, arm, batches, training.sums)
        agent.resident.keep_buffers()
    metrics = training.finish()
    times = {"train_s": time.perf_counter() - began, "wait_s": batches.wait_s - waited}
    return {**metrics, **times}


class RoundOfTraining:
    """State that an agent's local steps of a round are measured by, and undone with.

    Args:
        agent: agent that is about to train.
        arm: its exchange.
        round: number of the round, for error messages.

    Attributes:
        sums: sums over its steps.
    """

    def __init__(self, agent: LocalLearner, arm: Arm, round: int) -> None:
        self.sums = StepMetrics(agent.resident.device)
        self._agent = agent
        self._round = round
        self._kept = copy.deepcopy(agent.state) if arm.undoes_diverged else None

    def finish(self) -> dict[str, float]:
        """Return the metrics of `train` but the times; undo the round if the agent has diverged.

        Raises:
            TrainingError: the loss, or a parameter, is not finite, and the arm does not undo that.
        """
        agent = self._agent
        agent.state.tokens += self.sums.tokens + self.sums.decoder_tokens
        metrics = self.sums.metrics()
        error = _divergence(agent, metrics, self._round)
        if error is not None:
            if self._kept is None:
                raise error
            _undo(agent, self._kept)
            metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
            metrics["diverged"] = 1.0
        # Passes without a gradient of the exchange before this round are counted here too.
        metrics["embedded_tokens"], agent.state.embedded_tokens = agent.state.embedded_tokens, 0
        metrics["steps"] = steps_of(agent)
        return metrics


def _divergence(
    agent: LocalLearner, metrics: Mapping[str, float], round: int
) -> TrainingError | None:
    losses = [metrics.get("loss", 0.0), metrics.get("exchange_loss", 0.0)]
    what, actual = "loss", f"{losses[0]} (of the exchange: {losses[1]})"
    if np.isfinite(losses).all():
        # The last step of a round is judged by no loss, and its result is what neighbours would receive.
        if _finite(agent.parameters):
            return None
        what, actual = "norm of the parameters", "infinite or NaN"
    return TrainingError(
        f"the {what} of agent-{agent.id} is not finite in round {round}",
        expected="finite numbers",
        actual=actual,
        hint="lower training.learning_rate, raise training.warmup_steps, use precision fp32, or set "
        "policy.on_nan to pause",
    )


def _finite(values: Tensor) -> bool:
    """Return whether all values are finite."""
    # An infinity or a NaN makes the sum one; only a sum of finite numbers that overflows needs a second look.
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def _undo(agent: LocalLearner, kept: AgentState) -> None:
    """Take an agent back to a state, but on in its text: the same batches would diverge again."""
    now = agent.state
    kept.batches, kept.read, kept.anchors_read = now.batches, now.read, now.anchors_read
    kept.embedded_tokens = now.embedded_tokens
    agent.state = kept


def preview(agent: LocalLearner, arm: Arm) -> PrivateBatch:
    """Return the private texts of an agent's next batch as its next training step will see them.

    The same documents, views and dropout, so the same pooled states to the bit, attached to the graph. The
    states of the agent, its buffers and its objectives are left as they were.
    """
    batch = next(jobs(agent, arm))()
    state = agent.state
    kept, buffers = copy.deepcopy(state.objectives), copy_buffers(state.buffers)
    try:
        with _dropout_of(agent), agent.resident.autocast():
            agent.encoder.train()
            metrics = StepMetrics(agent.resident.device)
            _, pooled = local_loss(agent, arm, batch, metrics)
            private = exchange_views(agent, arm, batch, pooled, metrics)[0]
            agent.state.embedded_tokens += metrics.tokens
            return private
    finally:
        state.objectives, state.buffers = kept, buffers
        agent.resident.buffers.point_at(buffers)


@contextmanager
def _dropout_of(agent: LocalLearner) -> Iterator[None]:
    """Seed torch's generators for the agent's next steps, and restore them afterwards."""
    devices = [agent.resident.device] if agent.resident.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        seed = derive(agent.seed, "dropout", agent.id, agent.state.step)
        # What torch.manual_seed does, but for devices that are not in use: for each it keeps a stack trace.
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed_all(seed)
        yield


def _prepare(agent: LocalLearner, documents: BatchRows) -> PreparedBatch:
    resident = agent.resident
    texts = [Text.row(resident.group.tokens, int(row)) for row in documents.rows]
    inputs = []
    for index, objective in enumerate(resident.blueprint.objectives):
        rng = generator(agent.seed, "views", agent.id, documents.batch, index)
        raw = RawBatch(texts, resident.collate, agent.setting, rng, agent.labelled)
        inputs.append(objective.prepare(raw))
    return PreparedBatch(documents, texts, inputs)


def _step(
    agent: LocalLearner, arm: Arm, batches: Prefetcher[PreparedBatch], metrics: StepMetrics
) -> None:
    resident = agent.resident
    training = resident.blueprint.training
    for strategy, learner in agent.parts(arm.exchange):
        strategy.before_step(learner)
    resident.binding.gradient.zero_()
    for _ in range(training.accumulate):
        differentiate(agent, arm, next(batches), metrics)
    for strategy, learner in agent.parts(arm.exchange):
        strategy.correct(learner, resident.binding.gradient)
    clip(resident.binding.gradient, training.clip_norm)
    resident.step(learning_rate(training, agent.state.step))
    agent.state.step += 1


def differentiate(
    agent: LocalLearner,
    arm: Arm,
    batch: PreparedBatch,
    metrics: StepMetrics,
    states: Tensor | None = None,
) -> None:
    """Add the gradient of the loss of a batch to the agent's, and advance the agent past it.

    Args:
        agent: the agent.
        arm: its exchange.
        batch: the batch.
        metrics: sums over its steps.
        states: see `agents.training.local_loss.local_loss`.
    """
    state, documents = agent.state, batch.documents
    with agent.resident.autocast():
        total, pooled = local_loss(agent, arm, batch, metrics, states)
        learnt = exchange_loss(agent, arm, batch, pooled, metrics)
    metrics.add_losses(total, learnt)
    state.batches = documents.batch + 1
    state.read, state.anchors_read = documents.read, documents.anchors_read
    loss = total if learnt is None else total + learnt
    if loss.requires_grad:  # not for a frozen encoder whose head has no teacher yet
        accumulate = agent.resident.blueprint.training.accumulate
        (loss / accumulate).backward()  # type: ignore[no-untyped-call]


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    factor = learning_rate_factor(training.schedule, step, training.warmup_steps, training.steps)
    return training.learning_rate * factor
