"""Kinds of tasks."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.kinds.base import Items, TaskKind
from agentos.tasks.kinds.classify import Classify
from agentos.tasks.kinds.pair import Pair

TASK_KINDS: Mapping[str, type[TaskKind]] = {"classify": Classify, "pair": Pair}
"""Every kind of task. To add one, write its class in its own file and add a line here."""

__all__ = ["TASK_KINDS", "Classify", "Items", "Pair", "TaskKind"]
