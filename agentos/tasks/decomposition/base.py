"""Base of decompositions: they divide a classification into parts, which is kept only where it pays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from agentos.tasks.decomposition.division import Division, Labels, Rows
from agents.answering import Answers
from agents.answering.answers import check_evidence
from protocols.errors import ConfigurationError
from protocols.spec import Spec


@dataclass(frozen=True)
class Evidence:
    """What a division may rest on.

    Attributes:
        classes: name of each class, in order.
        answers: out-of-fold answers to the split ``fit``, of the undivided task.
        labels: `[E]`, of these texts.
        costs: `[N]`, work of each text that is to be answered, such as its tokens.
        speeds: work a second of each agent; at least one.
    """

    classes: tuple[str, ...]
    answers: Answers
    labels: Labels
    costs: Rows
    speeds: tuple[float, ...]

    def __post_init__(self) -> None:
        check_evidence((self.answers,), self.labels, "fit")
        costs, speeds = self.costs, np.asarray(self.speeds)
        positive = len(costs) and len(speeds) and (costs >= 0).all() and (speeds > 0).all()
        if not positive or not np.isfinite(costs.sum() + speeds.sum()):
            raise ConfigurationError(
                "a task is divided by the work of its texts and the speeds of agents",
                expected="at least one text of finite cost, and one agent of finite speed above 0",
                actual=f"{len(costs)} texts, speeds {list(self.speeds)}",
                hint="give the texts to answer, and the speed of each agent",
            )


class Decomposition(Spec, ABC):
    """Base of every decomposition."""

    kind: str
    tolerance: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Accuracy on `calibrate` that a division may cost if it ends sooner than the flat task.",
    )

    slack: float = Field(
        0.02,
        ge=0.0,
        le=1.0,
        description="Accuracy below the best agent's, out of fold, with which others may get a subtask.",
    )

    @abstractmethod
    def divide(self, evidence: Evidence) -> Division:
        """Return the parts; the same for agents in any order.

        Raises:
            ConfigurationError: what the user asked for does not answer the task.
        """


@dataclass(frozen=True)
class Outcome:
    """Answers to the split ``calibrate``, and when the last of them was there.

    Attributes:
        answers: those of the whole task.
        makespan_s: planned or measured seconds.
    """

    answers: Answers
    makespan_s: float


def keeps(
    decomposition: Decomposition, divided: Outcome, flat: Outcome, labels: Labels
) -> tuple[bool, str]:
    """Return whether a division is kept, and the reason in one sentence.

    It is if it answers more texts of ``calibrate`` rightly, or ends sooner at a cost within the tolerance.

    Raises:
        ConfigurationError: the answers are of another split, or in-sample.
    """
    check_evidence((divided.answers, flat.answers), labels, "calibrate")
    right = int(divided.answers.right(labels).sum()), int(flat.answers.right(labels).sum())
    gain = (right[0] - right[1]) / len(labels)
    sooner = divided.makespan_s < flat.makespan_s
    kept = gain > 0 or (sooner and gain >= -decomposition.tolerance)
    figures = (
        f"{right[0]:,} of {len(labels):,} texts right against {right[1]:,}, "
        f"{divided.makespan_s:.4g} s against {flat.makespan_s:.4g} s"
    )
    return kept, f"The division {'is kept' if kept else 'is dropped'}: {figures}."
