"""The place where the runs of a sweep are executed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.spec import Spec


class LauncherConfig(Spec):
    """The place where runs are executed: processes on this machine, or tasks of Ray on a cluster."""

    kind: Literal["processes", "ray"] = Field(
        "processes", description="processes on this machine, or ray: one task a run."
    )
    cpus: float | None = Field(
        None, gt=0, description="CPUs that Ray reserves for a run; null: its runtime.threads."
    )
    gpus: float = Field(
        0.0, ge=0, description="GPUs that Ray reserves for a run; 0.5 puts two runs on one."
    )

    @model_validator(mode="after")
    def _reserved_by_ray_alone(self) -> Self:
        if self.kind == "processes" and (self.cpus is not None or self.gpus):
            raise ValueError("cpus and gpus are reserved by kind ray alone")
        return self
