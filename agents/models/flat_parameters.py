"""One flat buffer per agent, into which the parameters of a shared module are views.

A host keeps one module per architecture. To switch agents, the parameters are pointed at the other agent's
buffer: nothing is copied, and no agent owns a module.

The buffer is ordered ``[decayed | not decayed]``, so that the optimizer works on two contiguous slices and an
exchange of weights on one. Every parameter starts on a 64-byte boundary. Frozen parameters stay in the module
and are shared by its agents. Buffers, such as the running statistics of BatchNorm, belong to the agent too:
`OwnBuffers` swaps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

_ALIGNMENT = 16  # float32 elements: 64 bytes, a cache line


@dataclass(frozen=True)
class Slot:
    """Place of one parameter in a flat buffer."""

    name: str
    shape: tuple[int, ...]
    start: int
    length: int

    def view(self, flat: Tensor) -> Tensor:
        """Return this parameter's part of a flat buffer, in its shape."""
        return flat[self.start : self.start + self.length].view(self.shape)


@dataclass(frozen=True)
class Layout:
    """Places of a module's trained parameters in a flat buffer.

    Attributes:
        slots: one per trained parameter, in buffer order.
        decayed: elements ``[0, decayed)`` take weight decay (matrices).
        size: total elements; ``[decayed, size)`` take no weight decay.
    """

    slots: tuple[Slot, ...]
    decayed: int
    size: int

    @cached_property
    def fingerprint(self) -> str:
        """Digest that is equal for modules whose weights can be averaged."""
        described = repr([(slot.name, slot.shape, slot.start) for slot in self.slots])
        return hashlib.blake2b(described.encode(), digest_size=8).hexdigest()

    @property
    def parameter_count(self) -> int:
        """Number of trained parameters, padding not counted."""
        return sum(slot.length for slot in self.slots)


def layout_of(module: nn.Module) -> Layout:
    """Lay out the trained parameters of a module, shared parameters once."""
    decayed: list[tuple[str, nn.Parameter]] = []
    plain: list[tuple[str, nn.Parameter]] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            # By convention matrices decay; biases and scales of norms do not.
            (decayed if parameter.dim() > 1 else plain).append((name, parameter))
    slots: list[Slot] = []
    ends: list[int] = []
    end = 0
    for group in (decayed, plain):
        for name, parameter in group:
            slots.append(Slot(name, tuple(parameter.shape), end, parameter.numel()))
            end += -(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT  # rounded up
        ends.append(end)
    return Layout(tuple(slots), decayed=ends[0], size=ends[1])


def flatten(module: nn.Module, layout: Layout) -> Tensor:
    """Copy a module's trained parameters into a new flat float32 buffer `[P]`; padding is zero."""
    parameters = dict(module.named_parameters())
    first = next(iter(parameters.values()))
    flat = torch.zeros(layout.size, dtype=torch.float32, device=first.device)
    for slot in layout.slots:
        flat[slot.start : slot.start + slot.length] = parameters[slot.name].detach().reshape(-1)
    return flat


Views = list[tuple[Tensor, Tensor]]
"""Each parameter of a module, and its gradient, within flat buffers."""


class Binding:
    """Binds a module's trained parameters and their gradients to flat buffers.

    Args:
        module: module to bind; the storage of its trained parameters is released.

    Attributes:
        gradient: `[P]`, shared by all agents that use the module.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.layout = layout_of(module)
        named = dict(module.named_parameters())
        self._parameters = [(named[slot.name], slot) for slot in self.layout.slots]
        # Gradients are views too: clipping and the optimizer see one tensor, and clearing it is one fill.
        device = next(module.parameters()).device
        self.gradient = torch.zeros(self.layout.size, device=device)
        self.collect_in(self.gradient)

    def point_at(self, flat: Tensor) -> None:
        """Point the module's parameters at `flat` `[P]`."""
        for parameter, slot in self._parameters:
            parameter.data = slot.view(
                flat
            )  # the Parameter object stays, so hooks and ties stay valid

    def collect_in(self, gradient: Tensor) -> None:
        """Let gradients of the module add up in `gradient` `[P]`."""
        for parameter, slot in self._parameters:
            parameter.grad = slot.view(gradient)

    def views(self, flat: Tensor, gradient: Tensor) -> Views:
        """Return the views that `switch` takes, of parameters and gradients `[P]`."""
        return [(slot.view(flat), slot.view(gradient)) for _, slot in self._parameters]

    def switch(self, views: Views) -> None:
        """Point the module's parameters and gradients at views: `point_at` and `collect_in`, but faster."""
        for (parameter, _), (data, gradient) in zip(self._parameters, views, strict=True):
            parameter.data, parameter.grad = data, gradient


class OwnBuffers:
    """Swaps the buffers of a module that belong to an agent: what training may change besides parameters.

    These are all buffers outside the backbone, and the backbone's persistent ones; its others, such as
    positions, are constants that it derives from its configuration.

    Args:
        module: its buffers are replaced by those of one agent after another.
        shared: prefix of a module; of its buffers only the persistent ones are the agent's.
    """

    def __init__(self, module: nn.Module, shared: str = "backbone") -> None:
        self._owners = dict(_owners(module, shared))

    @property
    def names(self) -> frozenset[str]:
        """Names of the buffers."""
        return frozenset(self._owners)

    def read(self) -> dict[str, Tensor | None]:
        """Return the module's present buffers by name; they are not copied."""
        return {name: owner._buffers[key] for name, (owner, key) in self._owners.items()}

    def point_at(self, buffers: Mapping[str, Tensor | None]) -> None:
        """Replace the module's buffers by an agent's, which it then changes."""
        for name, (owner, key) in self._owners.items():
            owner._buffers[key] = buffers[name]


def copy_buffers(buffers: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Copy buffers; None, a buffer that is not set yet, stays None."""
    return {name: None if each is None else each.detach().clone() for name, each in buffers.items()}


def _owners(module: nn.Module, shared: str) -> Iterator[tuple[str, tuple[nn.Module, str]]]:
    for path, owner in module.named_modules():
        for key in owner._buffers:
            constant = key in owner._non_persistent_buffers_set
            if not (constant and path.split(".")[0] == shared):
                yield f"{path}.{key}".lstrip("."), (owner, key)
