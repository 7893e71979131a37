"""Further ways of a society to answer, which a configuration asks for by name."""

from __future__ import annotations

from agentos.tasks.decomposition import Undivided
from agentos.tasks.society.fitted_society import FittedSociety
from agentos.tasks.solving.distilling import distil
from agentos.tasks.solving.dividing import divide
from agentos.tasks.solving.workbench import Workbench
from agents.answering.distil import Distil


def further_ways(
    work: Workbench, society: FittedSociety, order: list[int]
) -> tuple[FittedSociety, tuple[str, ...]]:
    """Add the divided task and the distilled agent where they are asked for.

    Args:
        work: the workbench.
        society: fitted, with a way to answer chosen.
        order: model of each of its agents.

    Returns:
        The society, and a sentence on each way: is it used, and why?

    Raises:
        ConfigurationError: a way does not fit the task.
    """
    notes = []
    if not isinstance(work.config.decompose, Undivided):
        work.progress("Dividing the task")
        society, note = divide(work, society, order)
        notes.append(note)
    if isinstance(work.config.adapt, Distil) and len(order) > 1:
        work.progress("Distilling the society")
        society, note = distil(work, society, order, work.config.adapt)
        notes.append(note)
    return society, tuple(notes)
