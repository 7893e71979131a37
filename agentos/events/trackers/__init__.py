"""Experiment trackers, which show runs next to those of other programs; all are optional packages."""

from agentos.events.trackers.base import Tracker, TrackerListener
from agentos.events.trackers.registry import TRACKERS

__all__ = ["TRACKERS", "Tracker", "TrackerListener"]
