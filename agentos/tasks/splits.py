"""The parts of a task's texts: to fit on, to calibrate and choose on, and to test on once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

Rows = NDArray[np.int64]


class SplitConfig(Spec):
    """Shares of the labelled texts that each part of a task gets."""

    fit: float = Field(0.4, gt=0.0, lt=1.0, description="Share that heads are fitted on.")
    calibrate: float = Field(
        0.2, gt=0.0, lt=1.0, description="Share that thresholds and choices are made on."
    )
    test: float = Field(0.4, gt=0.0, lt=1.0, description="Share that results are reported on.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.fit + self.calibrate + self.test - 1.0) > 1e-6:
            raise ValueError(f"{self.fit} + {self.calibrate} + {self.test} is not 1")
        return self


@dataclass(frozen=True)
class TaskSplits:
    """Positions of the texts of each part, sorted; together they are all texts, each once."""

    fit: Rows
    calibrate: Rows
    test: Rows


def split_task(
    labels: Sequence[str], groups: Rows, config: SplitConfig, seed: int = 0
) -> TaskSplits:
    """Divide labelled texts: every label in proportion, near duplicates on one side.

    A group belongs to the label of its first text. The groups of a label are shuffled, and each goes to
    the part that lacks most of its share.

    Args:
        labels: label of each text.
        groups: `[N]`, equal numbers for texts that must stay together; see `agentos.tasks.resemblance`.
        config: the shares.
        seed: the run's seed.

    Raises:
        ConfigurationError: groups and labels differ in length, or a part would be empty.
    """
    if len(labels) != len(groups):
        raise ConfigurationError(
            "labels and groups of near duplicates do not match",
            expected=f"{len(labels)} groups",
            actual=f"{len(groups)} groups",
            hint="group the same texts that the labels belong to",
        )
    shares = np.array([config.fit, config.calibrate, config.test])
    part = np.empty(len(labels), dtype=np.int64)
    owed = np.zeros(3)  # carried from label to label: rare labels do not all fall to one part
    for label, members in _groups_by_label(labels, groups):
        owed += shares * sum(map(len, members))
        for place in generator(seed, "task", "split", label).permutation(len(members)):
            goes_to = int(np.argmax(owed))
            part[members[place]] = goes_to
            owed[goes_to] -= len(members[place])
    found = TaskSplits(*(np.flatnonzero(part == number) for number in range(3)))
    if not (len(found.fit) and len(found.calibrate) and len(found.test)):
        raise ConfigurationError(
            "there are too few texts to divide",
            expected="a text in each of fit, calibrate and test",
            actual=f"{len(found.fit)}, {len(found.calibrate)} and {len(found.test)}",
            hint="give more labelled texts, or change the shares in `splits`",
        )
    return found


def _groups_by_label(labels: Sequence[str], groups: Rows) -> list[tuple[str, list[Rows]]]:
    """Return the texts of each group, by the label of its first text, in a fixed order."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    found: dict[str, list[Rows]] = {}
    for members in np.split(order, cuts) if len(order) else []:
        found.setdefault(labels[int(members[0])], []).append(members)
    return sorted(found.items())
