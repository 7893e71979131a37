"""An agent's state: everything that changes about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from typing_extensions import Self

from agents.component_state import ComponentState
from agents.exchange.base import Exchange, ExchangeState
from agents.objectives.base import Objective, ObjectiveState

C = TypeVar("C", bound=ComponentState)
_COUNTERS = ("step", "batches", "read", "anchors_read", "embedded_tokens", "tokens")
_EMPTY = torch.empty(0)


class StateTypes(NamedTuple):
    """Classes of the states that a run keeps for an agent, in order."""

    exchange: tuple[type[ExchangeState], ...]
    objectives: tuple[type[ObjectiveState], ...]

    @classmethod
    def of(cls, exchange: Exchange, objectives: Sequence[Objective]) -> StateTypes:
        """Return the classes that the parts of an exchange and the objectives declare."""
        return cls(
            tuple(part.state_type for part in exchange.parts),
            tuple(objective.state_type for objective in objectives),
        )


@dataclass
class AgentState:
    """Everything that changes about an agent; saving it and loading it back changes nothing.

    Attributes:
        parameters: `[P]`, flat; see `agents.models.flat_parameters`.
        optimizer: the optimizer's state of each of its parameters, in their order.
        step: optimizer steps taken.
        batches: batches read; as many as steps, unless gradients are accumulated.
        read, anchors_read: documents and anchors read (or skipped) since the beginning.
        embedded_tokens: tokens embedded without a gradient since the last round was reported.
        tokens: tokens trained on since the beginning, as in the metrics ``tokens`` and ``decoder_tokens``.
        exchange: state that each part of the exchange keeps.
        objectives: state that each objective keeps.
        buffers: buffers of the encoder and its heads by name; see `agents.models.flat_parameters`.
    """

    parameters: Tensor
    optimizer: list[dict[str, Any]]
    step: int = 0
    batches: int = 0
    read: int = 0
    anchors_read: int = 0
    embedded_tokens: int = 0
    tokens: int = 0
    exchange: list[ExchangeState] = field(default_factory=list)
    objectives: list[ObjectiveState] = field(default_factory=list)
    buffers: dict[str, Tensor | None] = field(default_factory=dict)

    def tensors(self) -> dict[str, Any]:
        """Return the fields that take memory, as a tree; the counters are left out."""
        return {
            "parameters": self.parameters,
            "optimizer": self.optimizer,
            "exchange": [each.to_tree() for each in self.exchange],
            "objectives": [each.to_tree() for each in self.objectives],
            "buffers": self.buffers,
        }

    def without_tensors(self) -> Self:
        """Return a state with only the counters."""
        return replace(
            self, parameters=_EMPTY, optimizer=[], exchange=[], objectives=[], buffers={}
        )

    def with_tensors(self, tree: Mapping[str, Any], types: StateTypes) -> Self:
        """Return a state with these counters and the fields of a tree; the inverse of `tensors`.

        Raises:
            ValueError: the tree does not hold these fields, or is of other strategies or objectives.
        """
        parameters, optimizer = tree["parameters"], tree["optimizer"]
        if not (isinstance(parameters, Tensor) and parameters.dtype == torch.float32):
            raise ValueError("its parameters are not a float32 tensor")
        if parameters.ndim != 1:
            raise ValueError("its parameters are not flat")
        if type(optimizer) is not list or any(type(each) is not dict for each in optimizer):
            raise ValueError("its optimizer state is not a list of dictionaries")
        buffers = tree.get("buffers", {})  # absent in files of earlier releases
        if type(buffers) is not dict or any(
            not isinstance(each, Tensor | None) for each in buffers.values()
        ):
            raise ValueError("its buffers are not tensors by name")
        return replace(
            self,
            parameters=parameters,
            optimizer=optimizer,
            exchange=_states(types.exchange, tree["exchange"]),
            objectives=_states(types.objectives, tree["objectives"]),
            buffers=buffers,
        )

    def to_tree(self) -> dict[str, Any]:
        """Return the whole state as a tree; see `agents.hosting.pytree`."""
        return {**self.tensors(), **{name: getattr(self, name) for name in _COUNTERS}}

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], types: StateTypes) -> Self:
        """Rebuild a state; the inverse of `to_tree`.

        Raises:
            ValueError: the tree does not hold such a state.
        """
        counters = {name: tree[name] for name in _COUNTERS}
        for name, value in counters.items():
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} is not a count")
        return cls(_EMPTY, [], **counters).with_tensors(tree, types)


def _states(types: Sequence[type[C]], trees: Sequence[Any]) -> list[C]:
    if len(trees) != len(types):
        raise ValueError(
            f"it holds the states of {len(trees)} parts, and this run has {len(types)}"
        )
    return [each.from_tree(tree) for each, tree in zip(types, trees, strict=True)]
