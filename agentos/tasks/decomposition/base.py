"""Base of decompositions: they divide a classification into parts, which is kept only where it pays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.tasks.decomposition.division import Division, Labels, Rows
from agents.answering import Answers
from agents.answering.answers import check_evidence
from protocols.errors import ConfigurationError
from protocols.spec import Spec

DOUBT = 0.05
"""Largest p with which a division counts as better."""


@dataclass(frozen=True)
class WholeTask:
    """A task before it is divided, and the agents that it is divided among.

    Attributes:
        classes: name of each class, in order.
        costs: `[N]`, work of each text that is to be answered, such as its tokens.
        speeds: work a second of each agent; at least one.
    """

    classes: tuple[str, ...]
    costs: Rows
    speeds: tuple[float, ...]

    def __post_init__(self) -> None:
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
    def divide(self, whole: WholeTask) -> Division:
        """Return the parts; the same for agents in any order.

        Raises:
            ConfigurationError: what the user asked for does not answer the task.
        """

    def for_texts(self, division: Division, costs: Rows, speeds: tuple[float, ...]) -> Division:
        """Return the parts of a division for other texts; those of divided classes stay.

        Args:
            division: what `divide` returned.
            costs: `[N]`, work of each text.
            speeds: work a second of each agent.
        """
        return division


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

    It is if it answers more texts of ``calibrate`` rightly beyond doubt, by the exact test of McNemar, or
    ends sooner at a cost within the tolerance.

    Raises:
        ConfigurationError: the answers are of another split, or in-sample.
    """
    check_evidence((divided.answers, flat.answers), labels, "calibrate")
    right = divided.answers.right(labels), flat.answers.right(labels)
    counts = int(right[0].sum()), int(right[1].sum())
    p_value = _exact_p(right[0], right[1])
    better = p_value <= DOUBT
    sooner = divided.makespan_s < flat.makespan_s
    kept = better or (sooner and counts[0] - counts[1] >= -decomposition.tolerance * len(labels))
    why = (
        "it answers more rightly beyond doubt"
        if better
        else "it ends sooner and answers as well"
        if kept
        else "it answers no better beyond doubt"
    )
    figures = (
        f"{counts[0]:,} of {len(labels):,} texts right against {counts[1]:,} (p {p_value:.2g}), "
        f"{divided.makespan_s:.4g} s against {flat.makespan_s:.4g} s"
    )
    return kept, f"The division {'is kept' if kept else 'is dropped'}, {why}: {figures}."


def _exact_p(divided: NDArray[np.bool_], flat: NDArray[np.bool_]) -> float:
    """Return the one-sided p of McNemar's exact test that the divided task is right more often."""
    # Not at the top: reading a configuration imports this module.
    from scipy.stats import binomtest

    gained, lost = int((divided & ~flat).sum()), int((~divided & flat).sum())
    if not gained + lost:
        return 1.0
    return float(binomtest(gained, gained + lost, alternative="greater").pvalue)
