"""``solve`` for tasks of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import overload

from agentos.tasks.config import AnyTask, CompositeTask, GenerateTask, RankTask, Task
from agentos.tasks.solving import run_task
from agentos.tasks.solving.composite_task import SolvedParts, solve_composite
from agentos.tasks.solving.kind_outcome import Finished
from agentos.tasks.solving.run_task import Solved
from agentos.tasks.solving.searching.rank_task import solve_rank
from agentos.tasks.solving.writing.generate_task import solve_generate

AnySolved = Solved | Finished | SolvedParts
Progress = Callable[[str], None]


def _quietly(_: str) -> None:
    """Report no progress."""


@overload
def solve(
    config: Task, directory: Path, progress: Progress = ..., address: str | None = ...
) -> Solved: ...


@overload
def solve(
    config: RankTask | GenerateTask,
    directory: Path,
    progress: Progress = ...,
    address: str | None = ...,
) -> Finished: ...


@overload
def solve(
    config: CompositeTask, directory: Path, progress: Progress = ..., address: str | None = ...
) -> SolvedParts: ...


@overload
def solve(
    config: AnyTask, directory: Path, progress: Progress = ..., address: str | None = ...
) -> AnySolved: ...


def solve(
    config: AnyTask,
    directory: Path,
    progress: Progress = _quietly,
    address: str | None = None,
) -> AnySolved:
    """Make a society for a task, let it work on the test split, and record everything.

    Args:
        config: the task, the models and the ways to cooperate.
        directory: folder of the records; one of the same configuration is used again.
        progress: called with a message at each step.
        address: the Ray cluster to join.

    Raises:
        AgentOSError: a source, a model or the folder cannot be used.
    """
    if isinstance(config, CompositeTask):
        return solve_composite(config, directory, progress, address, _solve_part)
    return _solve_part(config, directory, progress, address)


def _solve_part(
    config: AnyTask, directory: Path, progress: Progress, address: str | None
) -> Solved | Finished:
    if isinstance(config, RankTask):
        return solve_rank(config, directory, progress, address)
    if isinstance(config, GenerateTask):
        return solve_generate(config, directory, progress, address)
    assert isinstance(config, Task)
    return run_task.solve(config, directory, progress, address)
