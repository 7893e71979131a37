"""Choice of the size of stacks: a rule, not a measurement, so that runs repeat exactly."""

from __future__ import annotations

from typing import NamedTuple

from agents.training.blueprint import Arm
from agents.training.precision import StepSize
from agents.training.shared_model import SharedModel
from agents.training.stacked.stacked_layers import LAYERS
from protocols.errors import ConfigurationError

LARGEST = 16
"""Most agents of a stack that is chosen here."""
CPU_WORK = 2e8
"""Weights times tokens of a stack's step that a CPU gains from, at most.

On a CPU with AVX512, a ``nano`` encoder of 4 documents of 16 tokens (6e6) trains 1.8 times as fast in stacks
of 16, one of 8 of 32 (3e7) 1.25 times in stacks of 4, and one of 32 of 32 (1e8) no faster in any
(``experiments.benchmarks.steps.stacks``): its products outweigh the calls, and padding costs more.
"""
_SMALLEST = 4


class StackChoice(NamedTuple):
    """The largest number of agents of a stack; 1 if agents train one by one, and why they do."""

    size: int
    reason: str


def choose_stack(resident: SharedModel, arm: Arm) -> StackChoice:
    """Return the size of the stacks of an architecture on this host.

    Raises:
        ConfigurationError: a size was asked for, and the agents cannot train together.
    """
    wanted = resident.blueprint.stack
    if wanted == 1:
        return StackChoice(1, "runtime.stack is off")
    obstacle = _obstacle(resident, arm)
    if obstacle is not None:
        if wanted == "auto":
            return StackChoice(1, obstacle)
        raise ConfigurationError(
            f"runtime.stack: agents of {resident.group.encoder.origin!r} cannot train together: {obstacle}",
            expected="agents that can, or auto",
            actual=wanted,
            hint="set runtime.stack to auto, which trains such agents one by one, or to off",
        )
    if wanted != "auto":
        return StackChoice(wanted, "")
    return _paying(resident)


def _paying(resident: SharedModel) -> StackChoice:
    """Return the size that pays."""
    if resident.device.type != "cpu":
        return StackChoice(1, "what it gains on this device has not been measured")
    training = resident.blueprint.training
    step = StepSize.of(resident.encoder, training.batch_size * training.max_length)
    fitting = int(CPU_WORK / (step.weights * step.tokens))
    if fitting < _SMALLEST:
        return StackChoice(1, "a step is too large to gain from it")
    return StackChoice(min(LARGEST, 2 ** (fitting.bit_length() - 1)), "")


def _obstacle(resident: SharedModel, arm: Arm) -> str | None:
    """Return why agents cannot train together; None if they can."""
    return _of_encoder(resident) or _of_training(resident) or _of_passes(resident, arm)


def _of_encoder(resident: SharedModel) -> str | None:
    config = resident.group.encoder
    if config.lora is not None:
        return "LoRA adapters are trained, which a stack has no layers for"
    if not config.from_scratch:
        return "the encoder is loaded, and a stack has the layers of presets only"
    if config.frozen_layers is not None:
        return "layers are frozen"
    if resident.encoder.pooling == "cls":
        return (
            "pooling by the first token leaves out most of the last layer, which a stack does not"
        )
    if resident.encoder.backbone.config.model_type not in LAYERS:
        return "the architecture has no stacked layers"
    return None


def _of_training(resident: SharedModel) -> str | None:
    training, device = resident.blueprint.training, resident.device.type
    if device not in ("cpu", "cuda"):
        return f"stacks are not made for the device {device}"
    if device == "cpu" and resident.precision == "bf16":
        return "on a CPU, steps of a size that gains from bf16 gain nothing from a stack"
    if device == "cpu" and resident.blueprint.threads > 1:
        return "with several threads, numbers would depend on the agents that share a host"
    if training.micro_batch_tokens is not None:
        return "training.micro_batch_tokens divides each batch"
    if training.activation_checkpointing:
        return "training.activation_checkpointing computes layers twice"
    return None


def _of_passes(resident: SharedModel, arm: Arm) -> str | None:
    first = resident.blueprint.objectives[0]
    if first.single_pass is None:
        return f"objective {first.kind} does not encode its batch in a single pass"
    for part in arm.exchange.parts:
        if part.previews:
            return f"exchange {part.kind} repeats a step of a single agent to the bit"
    return None
