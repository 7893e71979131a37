"""Running a study: missing runs are done, under a progress display."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agentos.cli.display.sweep_progress import SweepDisplay, show_failures
from agentos.sweep.execute import Folder, execute
from agentos.sweep.plan import Planned


def run(console: Console, folder: Folder, runs: Sequence[Planned], jobs: int) -> None:
    """Do the runs that have not finished yet."""
    left = [run for run in folder.unfinished if run in runs]
    with SweepDisplay(console, len(runs) - len(left), len(runs)) as shown:
        execute(folder, left, jobs=jobs, on_start=shown.on_start, on_end=shown.on_end)
    show_failures(console, folder, left)


def command(study: str) -> str:
    """Return the command line of this process as a reader would type it, files without their folders."""
    return shlex.join(["python", "-m", f"experiments.studies.{study}", *map(_short, sys.argv[1:])])


def _short(argument: str) -> str:
    name, equals, path = argument.rpartition("=")
    return f"{name}{equals}{Path(path).name}" if path.endswith(".parquet") else argument
