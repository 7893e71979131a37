"""Optimizers and schedules. An optimizer's state belongs to an agent, not to the shared model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.lazy_torch import Tensor, nn, torch
from protocols.spec import Spec

if TYPE_CHECKING:
    from agents.models.flat_parameters import Layout

Schedule = Literal["constant", "linear", "cosine", "inverse_sqrt"]
ParameterGroups = list[dict[str, Any]]
_Part = Callable[["Tensor"], "Tensor"]


class OptimizerSpec(Spec, ABC):
    """Rule by which gradients change parameters."""

    kind: str
    needs_shapes: ClassVar[bool] = False
    """Whether the optimizer takes each parameter in its shape; otherwise all of them in two flat slices."""

    @abstractmethod
    def build(self, groups: ParameterGroups, learning_rate: float) -> torch.optim.Optimizer:
        """Build the optimizer over groups of parameters, each with its ``weight_decay``."""


class AdamW(OptimizerSpec):
    """AdamW: adaptive moments with decoupled weight decay.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
    """

    kind: Literal["adamw"] = "adamw"
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay rates of the moments.")
    epsilon: float = Field(1e-8, gt=0.0, description="Added to the root of the second moment.")

    @model_validator(mode="after")
    def _betas_in_range(self) -> Self:
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError("betas must be in [0, 1)")
        return self

    def build(self, groups: ParameterGroups, learning_rate: float) -> torch.optim.Optimizer:
        """Build the optimizer with one fused kernel over each slice."""
        return torch.optim.AdamW(
            groups, lr=learning_rate, betas=self.betas, eps=self.epsilon, fused=True
        )


class SGD(OptimizerSpec):
    """Stochastic gradient descent with momentum; weight decay is added to the gradient.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="Decay rate of the velocity.")
    nesterov: bool = Field(False, description="Evaluate the gradient ahead, along the momentum.")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")
        return self

    def build(self, groups: ParameterGroups, learning_rate: float) -> torch.optim.Optimizer:
        """Build the optimizer with one fused kernel over each slice."""
        return torch.optim.SGD(
            groups, lr=learning_rate, momentum=self.momentum, nesterov=self.nesterov, fused=True
        )


class Adafactor(OptimizerSpec):
    """Adafactor: second moments of a matrix kept as one row and one column.

    The learning rate is relative to the size of each parameter, as in the paper.
    Source: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018.
    """

    kind: Literal["adafactor"] = "adafactor"
    needs_shapes: ClassVar[bool] = True
    decay: float = Field(
        -0.8, lt=0.0, description="Exponent by which the second moment's decay rate nears 1."
    )
    clip: float = Field(1.0, ge=1.0, description="Largest root mean square of an update.")

    def build(self, groups: ParameterGroups, learning_rate: float) -> torch.optim.Optimizer:
        """Build the optimizer over single parameters, whose rows and columns it needs."""
        return torch.optim.Adafactor(
            groups, lr=learning_rate, beta2_decay=self.decay, d=self.clip, foreach=False
        )


OPTIMIZERS: dict[str, type[OptimizerSpec]] = {"adamw": AdamW, "sgd": SGD, "adafactor": Adafactor}


class AgentOptimizer:
    """One optimizer over the parameters of several agents; its state belongs to the agents.

    It works on two slices of each agent's flat buffer, or on every parameter in its shape.

    Args:
        spec: the optimizer.
        layout: layout of the buffers.
        gradients: `[P]` of each agent.
        learning_rate: peak learning rate.
        weight_decay: weight decay of matrices.

    Attributes:
        optimizer: PyTorch's optimizer.
        parts: tensors of one agent that have a state.
    """

    def __init__(
        self,
        spec: OptimizerSpec,
        layout: Layout,
        gradients: Sequence[Tensor],
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        self._agents: list[list[tuple[nn.Parameter, _Part]]] = [[] for _ in gradients]
        groups: ParameterGroups = []
        borders = ((0, layout.decayed, weight_decay), (layout.decayed, layout.size, 0.0))
        for start, end, decay in borders:
            parts: list[_Part] = [partial(_slice, start, end)]
            if spec.needs_shapes:
                parts = [slot.view for slot in layout.slots if start <= slot.start < end]
            parameters = []
            for gradient, slices in zip(gradients, self._agents, strict=True):
                for part in parts:
                    parameter = nn.Parameter(part(gradient))
                    parameter.grad = part(gradient)
                    slices.append((parameter, part))
                    parameters.append(parameter)
            groups.append({"params": parameters, "weight_decay": decay})
        self.parts = len(self._agents[0])
        self.optimizer = spec.build(groups, learning_rate)

    def point_at(self, agent: int, flat: Tensor, kept: Sequence[dict[str, Any]]) -> None:
        """Point the place of an agent at its parameters `[P]` and its optimizer state."""
        for (parameter, part), state in zip(self._agents[agent], kept, strict=True):
            parameter.data = part(flat)
            self.optimizer.state[parameter] = state

    def step(self, learning_rate: float) -> None:
        """Change the parameters of all agents by their gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()


def learning_rate_factor(schedule: Schedule, step: int, warmup: int, steps: int) -> float:
    """Return the factor of the peak learning rate in a step.

    It rises linearly over the warm-up. Then it is constant; or falls to 0 linearly or as half a cosine, which
    it would reach one step after the last; or falls as ``sqrt(warmup / step)``.

    Args:
        schedule: name of the schedule.
        step: counted from 0.
        warmup: steps of the warm-up.
        steps: number of steps in the whole run.

    Example:
        >>> [learning_rate_factor("linear", step, 2, 6) for step in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "inverse_sqrt":
        return math.sqrt(max(1, warmup) / (step + 1))
    done = (step - warmup) / max(1, steps - warmup)
    if schedule == "linear":
        return max(0.0, 1.0 - done)
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return 1.0


def clip(gradient: Tensor, largest: float | None) -> None:
    """Scale a flat gradient in place so that its norm is at most `largest`; None leaves it.

    Args:
        gradient: `[P]`, or `[A, P]` of several agents, each with its own norm.
        largest: largest norm.
    """
    if largest is not None:
        norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0))


def _slice(start: int, end: int, flat: Tensor) -> Tensor:
    return flat[start:end]
