"""``agentos sweep``: many runs that differ in named fields, and one table of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agentos.cli.display.sweep_progress import SweepDisplay
    from agentos.sweep.config import SweepConfig
    from agentos.sweep.execute import Folder
    from agentos.sweep.plan import Planned


def sweep(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Path of a YAML file with base, seeds, arms and axes."),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY.PATH=VALUE",
            help="Fields of the base run to change, such as training.rounds=4; arms and axes override them.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds (0, 1, …); default: from the file.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Concurrent runs; default: cores divided by threads per run."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the runs and results.parquet; default: runs/NAME."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and the maximum cost of each.")
    ] = False,
    keep_encoders: Annotated[
        bool, typer.Option("--keep-encoders", help="Keep the encoders of every run.")
    ] = False,
) -> None:
    """Run every arm at every value of every axis with every seed, each in its own process.

    Results go to results.parquet, one row per run. Rerun the command to execute missing or failed runs.

    Example: agentos sweep exchange.yaml --seeds 3 --jobs 2 --out runs/exchange
    """
    from agentos.cli.display import sweep_progress as display
    from agentos.cli.display.console import SafeConsole
    from agentos.sweep.execute import Folder, jobs_for
    from agentos.sweep.plan import plan
    from agentos.sweep.rows import RESULTS

    console = SafeConsole()
    config = configuration(file, overrides or [], seeds)
    planned = plan(config)
    directory = out or Path("runs") / config.name
    folder = Folder(directory, planned)
    if dry_run:
        from agentos.sweep.estimate import estimate

        display.show_plan(console, folder, {run.id: estimate(run.config) for run in planned})
        return
    left = folder.unfinished
    with display.SweepDisplay(console, len(planned) - len(left), len(planned)) as shown:
        _execute(folder, left, jobs or jobs_for(planned), shown, keep_encoders)
    display.show_failures(console, folder, planned)
    console.print(f"rows: {directory / RESULTS}", soft_wrap=True, markup=False, highlight=False)
    if folder.unfinished:
        raise typer.Exit(1)


def _execute(
    folder: Folder, left: Sequence[Planned], jobs: int, shown: SweepDisplay, keep_encoders: bool
) -> None:
    """Execute the runs that are left, under a display.

    Raises:
        typer.Exit: after Ctrl-C, SIGTERM or SIGHUP, with the exit code of the signal.
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.runtime.interruption import Interrupted
    from agentos.sweep.execute import execute

    try:
        execute(
            folder,
            left,
            jobs=jobs,
            on_start=shown.on_start,
            on_end=shown.on_end,
            keep_encoders=keep_encoders,
        )
    except Interrupted as interrupted:
        advice = f"finished runs are in {folder.path}; the same command continues"
        SafeConsole(stderr=True).print(f"{interrupted}; {advice}", soft_wrap=True, markup=False)
        raise typer.Exit(interrupted.exit_code) from None


def configuration(file: Path, overrides: list[str], seeds: int | None) -> SweepConfig:
    """Return the sweep of a file, with overrides of its base run and its seeds.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    from agentos.config.load import apply_overrides
    from agentos.sweep.config import load_sweep, validated

    read = load_sweep(file)
    if not overrides and seeds is None:
        return read
    values = read.model_dump()
    values["base"] = apply_overrides(read.base, overrides)
    return validated(values if seeds is None else {**values, "seeds": seeds}, str(file))
