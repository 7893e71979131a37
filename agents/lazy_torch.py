"""PyTorch, imported on first use.

Specifications of objectives and exchanges carry their own behaviour, so their modules name ``torch``. Reading
or checking a configuration must not pay a second for importing it: those modules take their names from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
    from torch import Tensor as Tensor
    from torch import nn as nn
else:

    class _LazyModule:
        """Stand-in for a module, which is imported when one of its attributes is read."""

        def __init__(self, name: str) -> None:
            self._name = name
            self._module: Any = None

        def __getattr__(self, attribute: str) -> Any:
            if self._module is None:
                self._module = importlib.import_module(self._name)
            return getattr(self._module, attribute)

        def __reduce__(self) -> tuple[Any, ...]:
            # Ray pickles a strategy defined in a script by value, together with the globals it uses.
            return _LazyModule, (self._name,)

    class _LazyTensor:
        """Stand-in for `torch.Tensor` in annotations and `isinstance`; it has no other use."""

        def __instancecheck__(self, instance: Any) -> bool:
            return isinstance(instance, torch.Tensor)

        def __reduce__(self) -> tuple[Any, ...]:
            return _LazyTensor, ()

    torch = _LazyModule("torch")
    nn = _LazyModule("torch.nn")
    F = _LazyModule("torch.nn.functional")
    Tensor = _LazyTensor()

__all__ = ["F", "Tensor", "nn", "torch"]
