"""Experiment trackers, which show runs beside those of other programs; all are optional packages."""

from agentos.events.trackers.base import Tracker, TrackerListener
from agentos.events.trackers.registry import TRACKERS

__all__ = ["TRACKERS", "Tracker", "TrackerListener"]
