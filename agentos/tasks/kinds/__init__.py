"""Kinds of tasks."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.kinds.base import Items, LabelledKind, TaskKind
from agentos.tasks.kinds.classify import Classify
from agentos.tasks.kinds.composite import Composite, Part
from agentos.tasks.kinds.joint_generation import Generate
from agentos.tasks.kinds.pair import Pair
from agentos.tasks.kinds.rank import Rank
from agentos.tasks.kinds.registry import LABELLED_KINDS, PART_KINDS

TASK_KINDS: Mapping[str, type[TaskKind]] = {**PART_KINDS, "composite": Composite}
"""Every kind of task. To add one, write its class in its own file and add a line to `registry`."""

__all__ = [
    "LABELLED_KINDS",
    "PART_KINDS",
    "TASK_KINDS",
    "Classify",
    "Composite",
    "Generate",
    "Items",
    "LabelledKind",
    "Pair",
    "Part",
    "Rank",
    "TaskKind",
]
