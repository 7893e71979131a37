"""Hosts: many agents in one process, their memory, and the messages between them.

`Host` is imported when it is first asked for: it needs torch, and runtimes, which a configuration names, need
a host only once they start.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.hosting.host import Host as Host

__all__ = ["Host"]


def __getattr__(name: str) -> Any:
    """Import an export when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("agents.hosting.host"), name)
