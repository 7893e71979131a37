"""MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from agentos.events.trackers.base import Tracked, Tracker, flat

_LONGEST = 500
"""Characters of a parameter that every server of MLflow takes."""


class MLflow(Tracker):
    """MLflow, on a server or in a local store."""

    package: ClassVar[str] = "mlflow"

    kind: Literal["mlflow"] = "mlflow"
    uri: str | None = Field(
        None,
        description="Server or store, such as http://host:5000 or sqlite:///mlflow.db; unset: as MLflow's "
        "own MLFLOW_TRACKING_URI says.",
    )

    def start(self, name: str, config: Mapping[str, Any]) -> Tracked:
        """Begin a run of an experiment with the name of the project."""
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        client = MlflowClient(self.uri)
        known = client.get_experiment_by_name(self.project)
        experiment = known.experiment_id if known else client.create_experiment(self.project)
        run = client.create_run(experiment, run_name=name).info.run_id
        parameters = [Param(path, text[:_LONGEST]) for path, text in flat(config).items()]
        for start in range(0, len(parameters), 100):  # the most of one call
            client.log_batch(run, params=parameters[start : start + 100])

        def log(values: Mapping[str, float], round: int) -> None:
            now = int(1000 * time.time())
            found = [Metric(key, value, now, round) for key, value in values.items()]
            for start in range(0, len(found), 1000):
                client.log_batch(run, metrics=found[start : start + 1000])

        return Tracked(
            log, lambda finished: client.set_terminated(run, "FINISHED" if finished else "FAILED")
        )
