"""Events of a run, and the listeners that every run has: its live state and its log."""

from agentos.events.listener import Listener, Listeners

__all__ = ["Listener", "Listeners"]
