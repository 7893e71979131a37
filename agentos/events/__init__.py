"""Events of a run, and the listeners that come along."""

from __future__ import annotations

from agentos.events.base import Listener, Listeners

__all__ = ["Listener", "Listeners"]
