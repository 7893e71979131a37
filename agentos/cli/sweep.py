"""``agentos sweep``: many runs that differ in named fields, and one table of their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.watched_run import INTERRUPTED

if TYPE_CHECKING:
    from agentos.sweep.config import SweepConfig


def sweep(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A YAML file with base, seeds, arms and axes.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY.PATH=VALUE]...",
            help="Fields of the base run to change, such as training.rounds=4; arms and axes override them.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds, from 0; default: the file's.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time; default: cores over the threads of a run."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs and of results.parquet; default: runs/NAME."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and the maximum cost of each.")
    ] = False,
    keep_encoders: Annotated[
        bool, typer.Option("--keep-encoders", help="Keep the encoders of every run.")
    ] = False,
) -> None:
    """Run every arm at every value of every axis with every seed, each in its own process.

    Results go to results.parquet, one row per run. Called again, it runs what is missing or failed.

    Example: agentos sweep exchange.yaml --seeds 3 --jobs 2 --out runs/exchange
    """
    from rich.console import Console

    from agentos.cli.display import sweep_progress as display
    from agentos.sweep.execute import Folder, execute, jobs_for
    from agentos.sweep.plan import plan
    from agentos.sweep.rows import RESULTS

    console = Console()
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
        try:
            execute(
                folder,
                left,
                jobs=jobs or jobs_for(planned),
                on_start=shown.on_start,
                on_end=shown.on_end,
                keep_encoders=keep_encoders,
            )
        except KeyboardInterrupt:
            Console(stderr=True).print(
                f"interrupted; finished runs are in {directory}", soft_wrap=True, markup=False
            )
            raise typer.Exit(INTERRUPTED) from None
    display.show_failures(console, folder, planned)
    console.print(f"rows: {directory / RESULTS}", soft_wrap=True, markup=False, highlight=False)
    if folder.unfinished:
        raise typer.Exit(1)


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
