"""The table of trackers."""

from __future__ import annotations

from agentos.events.trackers.base import Tracker
from agentos.events.trackers.mlflow_tracker import MLflow
from agentos.events.trackers.trackio_tracker import Trackio
from agentos.events.trackers.wandb_tracker import WandB

TRACKERS: dict[str, type[Tracker]] = {"wandb": WandB, "mlflow": MLflow, "trackio": Trackio}
