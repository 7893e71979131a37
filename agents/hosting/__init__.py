"""Hosts: many agents in one process, their memory, and the messages between them.

Exports are imported when they are first used: they need torch, and neither reading a configuration nor the
coordinator of a run waits for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.hosting.host import Host as Host
    from agents.hosting.state_file import load_tree as load_tree
    from agents.hosting.state_file import save_tree as save_tree

_EXPORTS = {
    "Host": "agents.hosting.host",
    "load_tree": "agents.hosting.state_file",
    "save_tree": "agents.hosting.state_file",
}

__all__ = ["Host", "load_tree", "save_tree"]


def __getattr__(name: str) -> Any:
    """Import an export when it is first used."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
