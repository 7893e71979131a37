"""The configuration of a society that works on a task: one class for each family of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter, model_validator
from typing_extensions import Self

from agentos.rounds.clock.config import ClockConfig
from agentos.rounds.faults import FAULTS
from agentos.rounds.faults.base import Fault
from agentos.runtime import RUNTIMES, Runtime
from agentos.runtime.local import LocalRuntime
from agentos.tasks.decomposition import DECOMPOSITIONS, Decomposition, Undivided
from agentos.tasks.kinds import (
    LABELLED_KINDS,
    TASK_KINDS,
    Composite,
    Generate,
    LabelledKind,
    Rank,
)
from agentos.tasks.scheduling import SCHEDULERS, Heft, Scheduler
from agentos.tasks.selection import SELECTIONS, Linear, Selection
from agentos.tasks.splits import SplitConfig
from agents.answering import ADAPTATIONS, DEFERRALS, FUSIONS, Adaptation, Deferral
from agents.answering.adapt import Linear as LinearHead
from agents.answering.defer import Confidence
from agents.answering.stacking import Stacking
from agents.exchange.anchors.label_fusion import LabelFusion
from protocols.spec import Kinds, Spec
from protocols.topologies import TOPOLOGIES, Topology
from protocols.topologies.master_slave import MasterSlave


class LibraryConfig(Spec):
    """The models that may work."""

    runs: tuple[str, ...] = Field((), description="Finished run folders: each of their agents.")
    models: tuple[str, ...] = Field(
        (), description="Hugging Face or sentence-transformers folders."
    )
    folder: str | None = Field(
        None, description="A library that 'agentos library' keeps: all of its models."
    )

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.runs and not self.models and self.folder is None:
            raise ValueError("name at least one folder in runs or models, or a library in folder")
        return self


class Auto(Spec):
    """Master-slave, peers, layers and the best single agent are compared on ``calibrate``."""

    kind: Literal["auto"] = "auto"


class Work(Spec):
    """Fields that every task shares, the models that may work on it included."""

    name: str = Field("task", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Name of the task.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of all draws.")
    library: LibraryConfig = Field(..., description="The models that may work.")
    clock: ClockConfig = Field(
        ClockConfig(), description="Simulated speeds and links; speeds count FLOPs."
    )
    faults: tuple[Annotated[Fault, Kinds(FAULTS)], ...] = Field(
        (), description="Fault script; all work on the test split is round 1."
    )
    deadline_s: float = Field(
        60.0, gt=0.0, description="Simulated seconds after which a message counts as lost."
    )

    @model_validator(mode="after")
    def _speeds_count_flops(self) -> Self:
        if self.clock.work != "flops":
            raise ValueError("clock.work must be flops: answers are counted in nothing else")
        return self


class Task(Work):
    """A task whose answers are class probabilities, and how a society works on it."""

    task: Annotated[LabelledKind, Kinds(LABELLED_KINDS)] = Field(..., description="The task.")
    splits: SplitConfig = Field(SplitConfig(), description="Shares of the labelled texts.")
    decompose: Annotated[Decomposition, Kinds(DECOMPOSITIONS)] = Field(
        Undivided(), description="How a plan divides the task."
    )
    select: Annotated[Selection, Kinds(SELECTIONS)] = Field(
        Linear(), description="Which models work."
    )
    adapt: Annotated[Adaptation, Kinds(ADAPTATIONS)] = Field(
        LinearHead(), description="How they adapt to the task."
    )
    schedule: Annotated[Scheduler, Kinds(SCHEDULERS)] = Field(
        Heft(), description="Who does which part of a plan when."
    )
    topology: Annotated[Auto | Topology, Kinds({"auto": Auto, **TOPOLOGIES})] = Field(
        Auto(), description="How they cooperate: an architecture, or auto."
    )
    floor: float = Field(
        0.0, ge=0.0, le=1.0, description="Out-of-fold accuracy below which a slave gets no query."
    )
    defer: Annotated[Deferral, Kinds(DEFERRALS)] = Field(
        Confidence(), description="Which queries a level of a cascade passes on."
    )
    fuse: Annotated[LabelFusion, Kinds(FUSIONS)] = Field(
        Stacking(), description="How answers are fused, over distinct origins."
    )
    runtime: Annotated[Runtime, Kinds(RUNTIMES)] = Field(
        LocalRuntime(), description="Where the encoders run."
    )


class RankTask(Work):
    """A search, and how the agents that hold the documents work on it."""

    task: Annotated[Rank, Kinds({"rank": Rank})] = Field(..., description="The search.")
    calibrate: float = Field(
        0.3, gt=0.0, lt=1.0, description="Share of the queries that choices are made on."
    )
    fuse: Literal["auto", "merge", "reciprocal_rank", "z_score"] = Field(
        "auto",
        description="How rankings are fused; auto: as is best, or one agent if it is enough.",
    )
    topology: Annotated[Topology, Kinds(TOPOLOGIES)] = Field(
        MasterSlave(), description="Who is linked to whom; agent 0 asks."
    )
    runtime: Annotated[Runtime, Kinds(RUNTIMES)] = Field(
        LocalRuntime(), description="Where the encoders run."
    )


class GenerateTask(Work):
    """Texts to continue, and how decoders write them together."""

    task: Annotated[Generate, Kinds({"generate": Generate})] = Field(..., description="The texts.")
    calibrate: float = Field(
        0.3, gt=0.0, lt=1.0, description="Share of the texts that choices are made on."
    )
    mixture: Literal["auto", "posterior", "uniform"] = Field(
        "auto", description="How decoders are weighed; auto: as is best, or one if it is enough."
    )
    topology: Annotated[Topology, Kinds(TOPOLOGIES)] = Field(
        MasterSlave(), description="Who is linked to whom; agent 0 draws the tokens."
    )
    runtime: Annotated[Runtime, Kinds(RUNTIMES)] = Field(
        LocalRuntime(),
        description="Where the decoders read whole texts; `ask` works in one process.",
    )


class CompositeTask(Work):
    """Parts that read each other's answers; each works as its kind does by default."""

    task: Annotated[Composite, Kinds({"composite": Composite})] = Field(
        ..., description="The parts."
    )


AnyTask: TypeAlias = Task | RankTask | GenerateTask | CompositeTask
CONFIGURATIONS: Mapping[str, type[AnyTask]] = {
    **dict.fromkeys(TASK_KINDS, Task),
    "rank": RankTask,
    "generate": GenerateTask,
    "composite": CompositeTask,
}
"""The class of the configuration of each kind of task."""


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of task files: one of the classes of `CONFIGURATIONS`."""
    return TypeAdapter(AnyTask).json_schema()
