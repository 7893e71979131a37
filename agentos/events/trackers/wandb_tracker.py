"""Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from agentos.events.trackers.base import Tracked, Tracker


class WandB(Tracker):
    """Weights & Biases; offline, a run waits in the folder wandb until `wandb sync` uploads it."""

    package: ClassVar[str] = "wandb"

    kind: Literal["wandb"] = "wandb"
    entity: str | None = Field(None, description="User or team that owns the project.")
    mode: Literal["online", "offline"] = Field("online", description="Whether to upload the run.")

    def start(self, name: str, config: Mapping[str, Any]) -> Tracked:
        """Begin a run; rounds are its horizontal axis, since every arm begins anew."""
        import wandb

        run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=name,
            config=dict(config),
            mode=self.mode,
        )
        run.define_metric("*", step_metric="round")
        return Tracked(
            log=lambda values, round: run.log({**values, "round": round}),
            close=lambda finished: run.finish(exit_code=0 if finished else 1),
        )
