"""Choose runs of a study, and execute the missing ones under a progress display."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from agentos.cli.display.sweep_progress import SweepDisplay, show_failures
from agentos.sweep.execute import Folder, execute
from agentos.sweep.plan import Planned
from protocols.errors import ConfigurationError


def run(console: Console, folder: Folder, runs: Sequence[Planned], jobs: int) -> None:
    """Execute the missing runs."""
    left = [run for run in folder.unfinished if run in runs]
    with SweepDisplay(console, len(runs) - len(left), len(runs)) as shown:
        execute(folder, left, jobs=jobs, on_start=shown.on_start, on_end=shown.on_end)
    show_failures(console, folder, left)


def chosen(runs: Sequence[Planned], only: Sequence[str]) -> list[Planned]:
    """Return the runs of some arms and cells; all arms if none is named, and all cells likewise.

    Args:
        runs: runs of a sweep.
        only: names of arms, of cells, and of kinds of cells (``labels`` for ``labels_1``, ``labels_8``...).

    Raises:
        ConfigurationError: there is no such arm or cell.
    """
    arms = {run.arm for run in runs}
    cells = {value for run in runs for value in run.axes.values()}
    kinds = {cell.partition("_")[0] for cell in cells}
    unknown = [name for name in only if name not in arms | cells | kinds]
    if unknown:
        raise ConfigurationError(
            f"the study has no arm or cell {', '.join(unknown)}",
            expected=", ".join(sorted(arms | cells | kinds)),
        )
    by_arm = arms.intersection(only) or arms
    by_cell = {c for c in cells if c in only or c.partition("_")[0] in only} or cells
    return [run for run in runs if run.arm in by_arm and by_cell.issuperset(run.axes.values())]


def corpus_of(argument: str, known: Collection[str]) -> tuple[str, str]:
    """Return the name of a corpus, and its file, from ``NAME=FILE``, or ``NAME`` and an empty text.

    Raises:
        ConfigurationError: a study knows no such corpus.
    """
    name, _, path = argument.partition("=")
    if name not in known:
        raise ConfigurationError(
            f"{argument!r} is not a corpus of the study", expected=", ".join(known)
        )
    return name, path


def command(study: str) -> str:
    """Return the command line of this process as a reader would type it, files without their folders."""
    return shlex.join(["python", "-m", f"experiments.studies.{study}", *map(_short, sys.argv[1:])])


def _short(argument: str) -> str:
    name, equals, path = argument.rpartition("=")
    return f"{name}{equals}{Path(path).name}" if path.endswith(".parquet") else argument
