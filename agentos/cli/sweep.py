"""``agentos sweep``: many runs that differ in named fields, and one table of their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentos.cli.arguments import Address, TrustedPlugins, complete_overrides

if TYPE_CHECKING:
    from rich.console import Console

    from agentos.sweep.config import SweepConfig
    from agentos.sweep.execute import Folder
    from agentos.sweep.paired_answer import Question


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
            autocompletion=complete_overrides,
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds (0, 1, …); default: from the file.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Concurrent runs; default: as many as there are cores or room for."
        ),
    ] = None,
    launcher: Annotated[
        Literal["processes", "ray"] | None,
        typer.Option(help="Where runs are executed; default: from the file, otherwise processes."),
    ] = None,
    address: Address = None,
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
    metric: Annotated[
        str | None, typer.Option(help="Metric to compare; default: the first measured.")
    ] = None,
    across: Annotated[
        str, typer.Option(help="Axis whose values are compared with the baseline, or arm.")
    ] = "arm",
    by: Annotated[
        str | None, typer.Option(help="Axis within whose values to compare; default: the first.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Value to compare with; default: the first in the file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON; progress goes to stderr.")
    ] = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Run every arm at every value of every axis with every seed, each in its own process; or search.

    Results go to results.parquet, one row per run, and to report.html; the table compares arms with the
    baseline, paired by seed. Rerun the command to execute missing or failed runs. With the section search,
    Optuna chooses the fields of each trial (pip install 'llm-agentos[optuna]'). On a cluster, add
    --launcher ray --address auto: each run is a task of Ray. All nodes must share the --out folder.

    Example: agentos sweep exchange.yaml --seeds 3 --jobs 2 --out runs/exchange
    """
    from agentos.cli.display import sweep_progress as display
    from agentos.cli.display.console import SafeConsole
    from agentos.sweep.execute import Folder, execute, launched
    from agentos.sweep.paired_answer import Question
    from agentos.sweep.plan import plan
    from agentos.sweep.rows import RESULTS

    console = SafeConsole(stderr=as_json)
    config = configuration(file, overrides or [], seeds, launcher)
    if config.search is not None:
        _search(
            console, config, out, (jobs, dry_run, keep_encoders, address), as_json, trust_plugins
        )
        return
    planned = plan(config, trust_plugins)
    directory = out or Path("runs") / config.name
    folder = Folder(directory, planned)
    if dry_run:
        from agentos.sweep.estimate import estimate

        display.show_plan(console, folder, {run.id: estimate(run.config) for run in planned})
        return
    left = folder.unfinished
    with (
        _resumable(directory),
        launched(config.launcher, planned, address) as (place, room),
        display.SweepDisplay(console, len(planned) - len(left), len(planned)) as shown,
    ):
        execute(
            folder, left, jobs=jobs or room, launcher=place, on_start=shown.on_start,
            on_end=shown.on_end, keep_encoders=keep_encoders, trusted=trust_plugins or [],
        )  # fmt: skip
    display.show_failures(console, folder, planned)
    _answer(console, folder, config.name, Question(metric, across, by, baseline), as_json)
    console.print(f"rows: {directory / RESULTS}", soft_wrap=True, markup=False, highlight=False)
    if folder.unfinished:
        raise typer.Exit(1)


def _search(
    console: Console,
    config: SweepConfig,
    out: Path | None,
    how: tuple[int | None, bool, bool, str | None],
    as_json: bool,
    trusted: Sequence[str] | None,
) -> None:
    """Search, and print the best trial and the answer of all.

    Raises:
        typer.Exit: after an interruption, or where a trial failed.
    """
    from agentos.cli.display.sweep_progress import SweepDisplay, show_found, show_space
    from agentos.sweep.execute import Folder, launched
    from agentos.sweep.optuna_search import Search
    from agentos.sweep.paired_answer import Question

    jobs, dry_run, keep_encoders, address = how
    assert config.search is not None
    directory = out or Path("runs") / config.name
    search = Search(directory, config, trusted)
    if dry_run:
        show_space(console, config.search, search.metric, len(config.seeds))
        return
    with (
        _resumable(directory),
        launched(config.launcher, search.first, address) as (place, room),
        SweepDisplay(console, 0, config.search.trials * len(config.seeds)) as shown,
    ):
        found = search.run(
            jobs=jobs or room,
            launcher=place,
            on_start=shown.on_start,
            on_end=shown.on_end,
            keep_encoders=keep_encoders,
        )
    folder = Folder(directory, found.planned)
    _answer(console, folder, config.name, Question(found.metric.name), as_json)
    show_found(console, found)
    if found.failed:
        raise typer.Exit(1)


@contextmanager
def _resumable(directory: Path) -> Iterator[None]:
    """Turn an interruption into the exit code of its signal, and say how to go on."""
    from agentos.cli.display.console import SafeConsole
    from agentos.runtime.interruption import Interrupted

    try:
        yield
    except Interrupted as interrupted:
        advice = f"finished runs are in {directory}; the same command continues"
        SafeConsole(stderr=True).print(f"{interrupted}; {advice}", soft_wrap=True, markup=False)
        raise typer.Exit(interrupted.exit_code) from None


def _answer(console: Console, folder: Folder, name: str, question: Question, as_json: bool) -> None:
    """Print the answer of a sweep and write its page; nothing while no run has finished."""
    import json

    from agentos.cli.display.sweep_answers import show_answer
    from agentos.sweep.paired_answer import answer, meanings_of
    from agentos.sweep.rows import RESULTS, read_table
    from agentos.sweep.sweep_report import REPORT, write_sweep_report

    rows = read_table(folder.path / RESULTS)
    found = answer(rows, meanings_of(folder.path, rows), question)
    if found is None:
        return
    if as_json:
        typer.echo(json.dumps(found.as_json(), allow_nan=False))
    else:
        show_answer(console, found)
    page = write_sweep_report(folder.path / REPORT, name, found, rows, len(folder.unfinished))
    console.print(f"report: {page}", soft_wrap=True, markup=False, highlight=False)


def configuration(
    file: Path, overrides: list[str], seeds: int | None, launcher: str | None = None
) -> SweepConfig:
    """Return the sweep of a file, with overrides of its base run, its seeds and the kind of its launcher.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    from agentos.config.load import apply_overrides
    from agentos.sweep.config import load_sweep, validated

    read = load_sweep(file)
    values = {**read.model_dump(), "base": apply_overrides(read.base, overrides)}
    if seeds is not None:
        values["seeds"] = seeds
    if launcher is not None and launcher != read.launcher.kind:
        values["launcher"] = launcher
    return validated(values, str(file))
