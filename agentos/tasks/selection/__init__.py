"""Selections: which models of a library work on a task."""

from __future__ import annotations

from collections.abc import Mapping

from agentos.tasks.selection.base import Candidates, Choice, Selection, regret
from agentos.tasks.selection.baseline_selections import Largest, RandomModels
from agentos.tasks.selection.linear_accuracy import Linear

SELECTIONS: Mapping[str, type[Selection]] = {
    "linear": Linear,
    "largest": Largest,
    "random": RandomModels,
}
"""Every kind of selection. To add one, write its class in its own file and add a line here."""

__all__ = [
    "SELECTIONS",
    "Candidates",
    "Choice",
    "Largest",
    "Linear",
    "RandomModels",
    "Selection",
    "regret",
]
