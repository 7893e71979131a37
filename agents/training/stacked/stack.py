"""Local steps of several agents of one architecture at once.

The joint pass of the first objectives (`local_loss.joint_pass`) is taken for all agents together
(`stacked_layers`). Each agent then computes its own loss from its token states, as it would alone, and back
to them; the gradient goes through the layers for all agents together again, and one optimizer steps them all.
Everything else of a step, the exchange included, sees one agent.

Up to rounding the numbers are those of `agents.training.trainer.train`, dropout included. They do not depend
on which agents share a stack: batches are padded to the longest length of training, and a batched product
computes every agent's part alike.

Legend: A agents, B texts, T tokens, W width, P parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from agents.models.cpu.byte_dropout import dropout_of
from agents.text.collate import joined
from agents.training import trainer
from agents.training.blueprint import Arm
from agents.training.learner import LocalLearner
from agents.training.local_batch import PreparedBatch
from agents.training.local_loss import joint_pass
from agents.training.metrics import StepMetrics
from agents.training.optimizers import clip
from agents.training.prefetch import Prefetcher
from agents.training.stacked.stacked_layers import LAYERS
from agents.training.stacked.stacked_pass import StackedPass
from agents.training.stacked.stacked_weights import StackedEmbeddings, StackedWeights
from protocols.seeding import derive


def stacked_jobs(agents: Sequence[LocalLearner], arm: Arm) -> Iterator[Callable[[], PreparedBatch]]:
    """Yield functions that prepare the batches of a stack: the first of every agent, then the second."""
    for jobs in zip(*(trainer.jobs(agent, arm) for agent in agents), strict=True):
        yield from jobs


def train_stack(
    agents: Sequence[LocalLearner],
    arm: Arm,
    rounds: Mapping[int, int],
    batches: Prefetcher[PreparedBatch] | None = None,
) -> dict[int, dict[str, float]]:
    """Take the agents of a stack through the local steps of a round.

    Args:
        agents: agents of one shared model that have taken as many steps and take batches of one size.
        arm: their exchange.
        rounds: number of each agent's round, for error messages.
        batches: their batches in the order of `stacked_jobs`; None prepares each when it is due.

    Returns:
        By agent the metrics of `agents.training.trainer.train`; times are shared equally.

    Raises:
        TrainingError: the loss, or a parameter, of an agent is not finite, and the arm does not undo that.
    """
    batches = Prefetcher(stacked_jobs(agents, arm), workers=0) if batches is None else batches
    began, waited = time.perf_counter(), batches.wait_s
    training = [trainer.RoundOfTraining(agent, arm, rounds[agent.id]) for agent in agents]
    stack = Stack(agents, arm, [each.sums for each in training])
    with stack.training():
        for _ in range(trainer.steps_of(agents[0])):
            stack.step(batches)
    metrics = [each.finish() for each in training]
    times = {
        "train_s": (time.perf_counter() - began) / len(agents),
        "wait_s": (batches.wait_s - waited) / len(agents),
    }
    return {agent.id: {**found, **times} for agent, found in zip(agents, metrics, strict=True)}


class Stack:
    """Agents whose training steps are taken together.

    Args:
        agents: see `train_stack`.
        arm: their exchange.
        sums: each agent's sums over its steps.
    """

    def __init__(
        self, agents: Sequence[LocalLearner], arm: Arm, sums: Sequence[StepMetrics]
    ) -> None:
        resident = agents[0].resident
        layout, backbone = resident.binding.layout, resident.encoder.backbone
        self.agents = agents
        self._arm = arm
        self._resident = resident
        self._sums = sums
        self._buffers = [agent.parameters for agent in agents]
        self._gradients = gradients = resident.stacked_gradients(len(agents))
        self._views = [
            resident.binding.views(flat, gradient)
            for flat, gradient in zip(self._buffers, gradients, strict=True)
        ]
        self._optimizer = resident.agent_optimizer(list(gradients))
        for place, agent in enumerate(agents):
            self._optimizer.point_at(place, agent.parameters, agent.state.optimizer)
        self._generators = [_dropout_generator(agent) for agent in agents]
        layers = LAYERS[backbone.config.model_type](backbone.config)
        padding_id = getattr(backbone.get_input_embeddings(), "padding_idx", None)
        self._pass = StackedPass(
            layers,
            StackedWeights(layout, layers, gradients),
            StackedEmbeddings(layout, layers, self._buffers, gradients, padding_id),
            dropout_of(backbone),
            resident.pass_tokens,
        )

    @contextmanager
    def training(self) -> Iterator[None]:
        """Prepare the shared encoder for the steps, and return it to single agents afterwards."""
        devices = [self._resident.device] if self._resident.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            self._resident.encoder.train()
            try:
                yield
            finally:
                self._resident.leave_stack()

    def step(self, batches: Prefetcher[PreparedBatch]) -> None:
        """Take one optimizer step of every agent."""
        training = self._resident.blueprint.training
        for agent in self.agents:
            for strategy, learner in agent.parts(self._arm.exchange):
                strategy.before_step(learner)
        self._gradients.zero_()
        self._pass.read(self._buffers)
        for _ in range(training.accumulate):
            self._differentiate([next(batches) for _ in self.agents])
        for agent, gradient in zip(self.agents, self._gradients, strict=True):
            for strategy, learner in agent.parts(self._arm.exchange):
                strategy.correct(learner, gradient)
        clip(self._gradients, training.clip_norm)
        self._optimizer.step(trainer.learning_rate(training, self.agents[0].state.step))
        for agent in self.agents:
            agent.state.step += 1

    def _differentiate(self, batches: Sequence[PreparedBatch]) -> None:
        """Add the gradients of a batch of every agent."""
        objectives = self._resident.blueprint.objectives
        inputs = [joined(joint_pass(objectives, batch)) for batch in batches]
        with self._resident.autocast():
            passed = self._pass.forward(inputs, self._frame, self._generators)
        for place, (agent, batch) in enumerate(zip(self.agents, batches, strict=True)):
            self._resident.become_one_of_a_stack(agent.state, self._views[place])
            states = passed.states_of(place)
            with _drawing_from(self._generators[place], self._resident.device):
                trainer.differentiate(agent, self._arm, batch, self._sums[place], states)
            self._resident.keep_buffers()
        self._pass.backward(passed)

    @property
    def _frame(self) -> int:
        return self._resident.blueprint.training.max_length


def _dropout_generator(agent: LocalLearner) -> torch.Generator:
    """Return a generator of the draws that the agent's own steps of the round would make."""
    seed = derive(agent.seed, "dropout", agent.id, agent.state.step)
    return torch.Generator(agent.resident.device).manual_seed(seed)


@contextmanager
def _drawing_from(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Let PyTorch's own generator of a device go on where `generator` is, and the other way round."""
    own = torch.default_generator
    if device.type == "cuda":
        own = torch.cuda.default_generators[device.index or torch.cuda.current_device()]
    own.set_state(generator.get_state())
    yield
    generator.set_state(own.get_state())
