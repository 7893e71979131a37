"""A divided task: its parts, and the join of their answers into class probabilities.

Legend: N texts, K classes, G groups of a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from protocols.errors import ConfigurationError

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]
Group = tuple[int, ...]
"""Classes that a part does not tell apart, in order."""


@dataclass(frozen=True)
class Part:
    """A subtask: it tells groups of classes apart, in all texts or in some.

    Attributes:
        name: name that other parts refer to.
        groups: G disjoint groups of classes, one for each column of its answer.
        reads: parts whose probabilities are features of this one.
        rows: positions of the texts that it answers; None for all.
        agents: names of the only agents that may do it; None for all.
        floor: accuracy below which an agent gets none of it.
    """

    name: str
    groups: tuple[Group, ...]
    reads: tuple[str, ...] = ()
    rows: Labels | None = None
    agents: tuple[str, ...] | None = None
    floor: float = 0.0

    @property
    def classes(self) -> Group:
        """Every class that it knows, in order."""
        return tuple(sorted(each for group in self.groups for each in group))

    def labels(self, labels_N: Labels) -> Labels:
        """Return the group of each label `[N]`, and -1 for those of other classes."""
        column = np.full(max([int(labels_N.max(initial=0)), *self.classes]) + 1, -1, np.int64)
        for number, group in enumerate(self.groups):
            column[list(group)] = number
        found: Labels = column[labels_N]
        return found


@dataclass(frozen=True)
class Division:
    """Parts that together answer a classification.

    Parts that divide the texts all tell every class apart, each for its own texts. Otherwise parts form a
    tree: one tells all classes or groups of them apart, and every group of several classes is divided
    further by a part of just these classes. Of parts with the same classes, the one that reads the others
    answers; what these say are its features.

    Args:
        classes: K.
        parts: in any order.

    Raises:
        ConfigurationError: the parts do not answer the task.
    """

    classes: int
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(p.name for p in self.parts).items() if count > 1]
        if twice or not self.parts:
            what = f"{', '.join(twice)} given twice" if twice else "none"
            raise _refused("each subtask of a division needs a name of its own", what)
        for part in self.parts:
            self._check_groups(part)
        _ = self.order
        if self.by_texts:
            self._check_rows()
        else:
            self._check_refined(tuple(range(self.classes)))

    @property
    def by_texts(self) -> bool:
        """Whether the texts are divided, and not the classes."""
        return any(part.rows is not None for part in self.parts)

    @cached_property
    def order(self) -> tuple[Part, ...]:
        """The parts in an order in which each comes after those that it reads."""
        named = {part.name: part for part in self.parts}
        for part in self.parts:
            if unknown := [name for name in part.reads if name not in named]:
                raise ConfigurationError(
                    f"the subtask {part.name!r} comes after an unknown one",
                    expected=f"some of {', '.join(named)}",
                    actual=", ".join(unknown),
                    hint="correct the name in its `after`",
                )
        try:
            names = TopologicalSorter({p.name: p.reads for p in self.parts}).static_order()
            return tuple(named[name] for name in names)
        except CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            raise ConfigurationError(
                "the subtasks wait for each other in a circle",
                expected="a directed acyclic graph",
                actual=circle,
                hint="take one of them out of another's `after`",
            ) from error

    def answering(self, classes: Group) -> Part | None:
        """Return the part that divides just these classes; None without one.

        Raises:
            ConfigurationError: there are several, and none comes after all others.
        """
        same = [part for part in self.order if part.classes == classes]
        if not same:
            return None
        last = same[-1]
        before = {part.name for part in same[:-1]}
        if not before <= self._upstream(last):
            raise _refused(
                "several subtasks divide the same classes, and none reads all others",
                ", ".join(part.name for part in same),
            )
        return last

    def join(self, answers: Mapping[str, Rows]) -> Rows:
        """Return class probabilities `[N, K]`: products along the paths of a tree, or the rows in order.

        Args:
            answers: `[N, G]` of each part, rows sum to one; for a part with rows only these.
        """
        if not self.by_texts:
            return self._below(tuple(range(self.classes)), answers)
        rows_NK = np.empty((sum(map(len, answers.values())), self.classes))
        for part in self.parts:
            columns = np.array([group[0] for group in part.groups])
            rows_NK[np.ix_(_rows(part), columns)] = answers[part.name]
        return rows_NK

    def _below(self, classes: Group, answers: Mapping[str, Rows]) -> Rows:
        part = self.answering(classes)
        assert part is not None  # checked when the division was made
        own_NG = answers[part.name]
        rows_NK = np.zeros((len(own_NG), self.classes))
        for column, group in enumerate(part.groups):
            within = self._below(group, answers)[:, group] if len(group) > 1 else 1.0
            rows_NK[:, group] = own_NG[:, [column]] * within
        return rows_NK

    def _upstream(self, part: Part) -> set[str]:
        named = {each.name: each for each in self.parts}
        found: set[str] = set()
        left = list(part.reads)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left.extend(named[name].reads)
        return found

    def _check_groups(self, part: Part) -> None:
        known = part.classes
        doubled = len(set(known)) < len(known)
        strange = bool(known) and not 0 <= known[0] <= known[-1] < self.classes
        if len(part.groups) < 2 or not all(part.groups) or doubled or strange:
            raise _refused(
                f"the subtask {part.name!r} does not tell classes apart",
                f"groups {[list(group) for group in part.groups]} of classes 0 to {self.classes - 1}",
            )

    def _check_rows(self) -> None:
        every = tuple(range(self.classes))
        whole = [part for part in self.parts if part.rows is None or part.reads]
        coarse = [part for part in self.parts if sorted(part.groups) != [(each,) for each in every]]
        rows = np.sort(np.concatenate([_rows(part) for part in self.parts]))
        if whole or coarse or not np.array_equal(rows, np.arange(len(rows))):
            raise _refused(
                "subtasks that divide the texts must cover each text once, and all classes",
                f"{len(rows)} rows, {len(np.unique(rows))} of them different; "
                f"{len(whole)} subtasks for all texts, {len(coarse)} without some class",
            )

    def _check_refined(self, classes: Group) -> None:
        part = self.answering(classes)
        if part is None:
            raise _refused(
                f"no subtask tells {len(classes)} classes apart that another keeps together",
                f"classes {list(classes)}",
            )
        for group in part.groups:
            if len(group) > 1:
                self._check_refined(group)


def _rows(part: Part) -> Labels:
    return np.zeros(0, np.int64) if part.rows is None else part.rows


def _refused(message: str, actual: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        expected="subtasks whose answers together give one probability for each class",
        actual=actual,
        hint="add a subtask for the classes that are left, or remove the one that is too many",
    )
