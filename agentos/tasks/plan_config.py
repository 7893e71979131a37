"""The configuration of a plan: a task, the library that may work on it, and how it is divided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agentos.data.sources import SOURCES, Source
from agentos.rounds.clock.config import ClockConfig
from agentos.tasks.decomposition import DECOMPOSITIONS, Decomposition, Undivided
from agentos.tasks.scheduling import SCHEDULERS, Heft, Scheduler
from agentos.tasks.selection import SELECTIONS, Linear, Selection
from agentos.tasks.splits import SplitConfig
from agents.answering import ADAPTATIONS, Adaptation
from agents.answering.adapt import Linear as LinearHead
from protocols.spec import Kinds, Spec
from protocols.topologies import TOPOLOGIES, Topology
from protocols.topologies.master_slave import MasterSlave


class LibrarySection(Spec):
    """The models that may work."""

    runs: tuple[Path, ...] = Field((), description="Run folders, of which every agent may work.")
    models: tuple[Path, ...] = Field(
        (), description="Folders of transformers or sentence-transformers."
    )
    folder: Path | None = Field(
        None,
        description="Folder of a library that `agentos library` keeps; all its models may work.",
    )


class TaskSection(Spec):
    """The texts of a task and what is asked about them."""

    kind: Literal["classify"] = Field("classify", description="One label for each text.")
    source: Annotated[Source, Kinds(SOURCES)] = Field(..., description="Labelled texts.")
    shots: int | None = Field(
        None, ge=2, description="Most texts of each class to fit on; null for all."
    )
    max_length: int = Field(
        32, ge=3, le=8192, description="Tokens of a text, special tokens included."
    )


class PlanConfig(Spec):
    """A task to plan."""

    name: str = Field("task", min_length=1, max_length=60, description="Name of the task.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of everything that is drawn.")
    library: LibrarySection = Field(..., description="The models that may work.")
    task: TaskSection = Field(..., description="What is asked.")
    splits: SplitConfig = Field(SplitConfig(), description="Shares to fit, calibrate and test on.")
    decompose: Annotated[Decomposition, Kinds(DECOMPOSITIONS)] = Field(
        Undivided(), description="How the task is divided."
    )
    select: Annotated[Selection, Kinds(SELECTIONS)] = Field(
        Linear(), description="Which models of the library work."
    )
    adapt: Annotated[Adaptation, Kinds(ADAPTATIONS)] = Field(
        LinearHead(), description="How heads are fitted."
    )
    schedule: Annotated[Scheduler, Kinds(SCHEDULERS)] = Field(
        Heft(), description="Who does which subtask when."
    )
    topology: Annotated[Topology, Kinds(TOPOLOGIES)] = Field(
        MasterSlave(), description="Which agents are joined; agent 0 joins the answers."
    )
    clock: ClockConfig = Field(ClockConfig(), description="Speeds of agents and links.")
