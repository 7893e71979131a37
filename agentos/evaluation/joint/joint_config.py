"""The section ``evaluation.joint``: which agents answer together, and the names of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.evaluation.base import Metric, Task
from protocols.errors import ConfigurationError
from protocols.spec import Spec

PREFIX = "joint_"
FIT_TEXTS = 1024
"""Most texts that a PCA is fitted on."""

Panel = tuple[int, ...]
"""Agents whose embeddings make one joint embedding, ascending; the asking agent is one of them."""


class JointConfig(Spec):
    """The joint embedding of an agent and those that it asks: unit embeddings side by side.

    The agents send nothing for it during training. Each text is sent to the agents asked, which therefore see
    it, and each returns its embedding.
    """

    agents: Literal["all", "neighbours", "copies"] = Field(
        "all",
        description="Agents that an agent asks: all others, its neighbours in the topology, or those that "
        "read the same text, as data.partition copies gives it.",
    )
    pca: int | None = Field(
        None,
        ge=1,
        le=65536,
        description="Width to which a PCA reduces the joint embedding; null keeps the sum of the widths. It "
        "is fitted on the public anchors, or without any on training text; never on held-out text.",
    )
    weights: tuple[Annotated[float, Field(ge=0.0, le=1e6)], ...] | None = Field(
        None,
        description="Weight of each agent in the joint cosine, one number per agent; an agent of weight 0 is "
        "not asked. Unset: all weigh the same.",
    )

    @property
    def needs_text(self) -> bool:
        """Whether the corpus of the run is needed: for a PCA, or to find agents with the same text."""
        return self.pca is not None or self.agents == "copies"

    def check(self, agents: int, anchors: int) -> None:
        """Refuse weights that do not fit the number of agents, and a PCA wider than its texts allow.

        Raises:
            ValueError: the field, and its hint.
        """
        if self.weights is not None and len(self.weights) != agents:
            raise ValueError(
                f"evaluation.joint.weights holds {len(self.weights)} numbers for {agents} agents; give one "
                "for each"
            )
        fitted = min(anchors, FIT_TEXTS) or FIT_TEXTS
        if self.pca is not None and self.pca >= fitted:
            raise ValueError(
                f"evaluation.joint.pca={self.pca} needs more than {self.pca} texts to be fitted on, and "
                f"there are {fitted}; lower it, or raise data.anchors"
            )

    def panels(
        self,
        agents: int,
        neighbours: Callable[[int], Iterable[int]],
        shards: Sequence[NDArray[np.int64]] = (),
    ) -> tuple[Panel, ...]:
        """Return the panel of each agent; those of weight 0 are left out.

        Args:
            agents: number of agents.
            neighbours: returns the neighbours of an agent.
            shards: documents of each agent, by which copies are found.

        Raises:
            ConfigurationError: every agent of a panel has weight 0.
        """
        weights = self.weights_of(agents)
        panels = []
        for agent in range(agents):
            if self.agents == "all":
                members = set(range(agents))
            elif self.agents == "neighbours":
                members = {agent, *neighbours(agent)}
            else:
                own = shards[agent]
                members = {i for i, rows in enumerate(shards) if np.array_equal(rows, own)}
            panel = tuple(sorted(i for i in members if weights[i] > 0))
            if not panel:
                raise ConfigurationError(
                    f"evaluation.joint leaves agent {agent} no agent to ask",
                    expected="a weight above 0 for the agent itself or one that it asks",
                    actual=f"weights {[weights[i] for i in sorted(members)]}",
                    hint="raise a number in evaluation.joint.weights, or leave the field out",
                )
            panels.append(panel)
        return tuple(panels)

    def weights_of(self, agents: int) -> tuple[float, ...]:
        """Return the weight of each agent."""
        return self.weights or (1.0,) * agents


def suits_joint(task: Task) -> bool:
    """Return whether a task reads embeddings alone: a joint embedding has no language-model head."""
    return task.needs_head is None


def joint_metrics(tasks: Iterable[Task]) -> tuple[Metric, ...]:
    """Return the metrics of the tasks on the joint embedding, under names of their own.

    Example:
        >>> from agentos.evaluation import KNN
        >>> [(metric.name, metric.title) for metric in joint_metrics([KNN()])][0]
        ('joint_knn_accuracy', 'kNN accuracy, joint')
    """
    return tuple(
        replace(
            metric,
            name=PREFIX + metric.name,
            label=f"{metric.title}, joint",
            help=f"On the embeddings of an agent and those it asks, side by side: {metric.help}",
            variant_of=metric.name,
        )
        for task in tasks
        if suits_joint(task)
        for metric in task.metrics
    )


def is_joint(metric: Metric) -> bool:
    """Return whether a metric is one of `joint_metrics`, which are measured at the end alone."""
    return metric.name.startswith(PREFIX)
