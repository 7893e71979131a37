"""PyTorch, imported when it is first used.

Specs of objectives and exchanges carry their own behaviour, so their modules name ``torch``. Reading or
checking a configuration must not cost a second of imports: those modules take ``torch`` from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
else:

    class _Lazy:
        """Stands for a module until an attribute of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name
            self._module: Any = None

        def __getattr__(self, attribute: str) -> Any:
            if self._module is None:
                self._module = importlib.import_module(self._name)
            return getattr(self._module, attribute)

        def __reduce__(self) -> tuple[Any, ...]:
            # A strategy that a script defines goes to the hosts by value, with the names that it uses.
            return _Lazy, (self._name,)

    torch = _Lazy("torch")
    F = _Lazy("torch.nn.functional")

__all__ = ["F", "torch"]
