"""The section ``evaluation`` of a run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from agentos.evaluation import TASKS
from agentos.evaluation.base import Metric, Task
from agentos.evaluation.centering import LEAST_PER_DIRECTION, CenterText, MapFitter, Whitening
from agentos.evaluation.geometry import Geometry
from agentos.evaluation.joint.joint_config import JointConfig, joint_metrics, suits_joint
from agentos.evaluation.retrieval import Retrieval
from protocols.spec import Kinds, Spec


class EvaluationConfig(Spec):
    """The measurements on held-out text, and the rounds in which they are taken."""

    every: int = Field(
        4, ge=1, description="Rounds between evaluations; the last round is always evaluated."
    )
    tasks: tuple[Annotated[Task, Kinds(TASKS)], ...] = Field(
        (Retrieval(), Geometry()), description="Evaluations, by kind."
    )
    documents: int = Field(
        1000, ge=20, description="Held-out documents used at most, the same for every agent."
    )
    agents: int | None = Field(
        None,
        ge=1,
        description="Agents that are evaluated, evenly spread over all; unset: every one.",
    )
    max_length: int = Field(64, ge=8, le=8192, description="Tokens of a text when it is embedded.")
    between_agents: bool = Field(
        True,
        description="At the end, compare the agents' embeddings of public texts with each other.",
    )
    center: bool = Field(
        True,
        description="Also measure embeddings without the mean of the agent's training text, and export "
        "encoders that subtract it.",
    )
    whitening: Whitening | None = Field(
        None,
        description="Also measure whitened embeddings, and export encoders that whiten; unset: none.",
    )
    center_text: CenterText = Field(
        "sentences",
        description="Text that mean and whitening are fitted on: the first sentence of each document, as "
        "short as a query, or the document.",
    )
    center_documents: int = Field(
        512,
        ge=2,
        description="Training documents of an agent on which mean and whitening are fitted, at most.",
    )
    joint: JointConfig | None = Field(
        None,
        description="At the end, evaluate the embeddings of several agents side by side, too; null: not.",
    )

    explained: int = Field(
        3,
        ge=0,
        le=20,
        description="Held-out texts that 'agentos run' explains by their words for the report; 0: none.",
    )

    def is_due(self, round: int, rounds: int) -> bool:
        """Return whether agents are evaluated after a round: the first, the last, and every so often."""
        return round in (0, rounds) or round % self.every == 0

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of all tasks, each followed by its variants; then those of the joint embedding."""
        alone = tuple(
            metric for task in self.tasks for metric in task.metrics_with(self.fitter.variants)
        )
        return alone if self.joint is None else alone + joint_metrics(self.tasks)

    @property
    def fitter(self) -> MapFitter:
        """The maps of embeddings that are fitted on training text; perhaps none."""
        affecting = frozenset().union(*(task.affected_by for task in self.tasks))
        return MapFitter(
            self.center, self.whitening, self.center_documents, self.center_text, affecting
        )

    @model_validator(mode="after")
    def _enough_to_whiten(self) -> Self:
        width = self.whitening.width if self.whitening else None
        if width is not None and self.center_documents < LEAST_PER_DIRECTION * width:
            raise ValueError(
                f"whitening.width {width} needs center_documents of {LEAST_PER_DIRECTION * width} or more"
            )
        return self

    @model_validator(mode="after")
    def _joint_can_be_computed(self) -> Self:
        if self.joint is not None and not any(map(suits_joint, self.tasks)):
            raise ValueError(
                "evaluation.joint needs a task on embeddings, such as retrieval or probe; a joint embedding "
                "has no language-model head"
            )
        return self

    @field_validator("tasks")
    @classmethod
    def _once_each(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        kinds = [task.kind for task in tasks]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"each task at most once, got {', '.join(kinds)}")
        return tasks
