"""``agentos runs``: list runs, show one, read its log, stop it, and remove what is not needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.cli.arguments import AsJson, complete_runs

if TYPE_CHECKING:
    from rich.console import Console

    from agentos.records.views.run_overview import RunOverview

runs = typer.Typer(
    no_args_is_help=True, help="List, show, stop and remove runs.", rich_markup_mode=None
)
RUNS = Path("runs")
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder of runs, or of sweeps of runs.")
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run folder, or its name under runs/.",
        autocompletion=complete_runs,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; --json needs it.")]
_POLL_S = 0.5
_TAIL_BYTES = 500_000


@runs.command("list")
def list_runs(folder: Folder = RUNS, as_json: AsJson = False) -> None:
    """List the runs of a folder: status, round, result, size and age; the latest comes last.

    Example: agentos runs list runs --json
    """
    from agentos.cli.runs import runs_table

    found = _found(folder)
    if as_json:
        typer.echo(json.dumps([runs_table.as_json(run) for run in found], indent=2))
    elif found:
        runs_table.show_runs(_console(), folder, found)
    else:
        _print(f"no runs in {folder}")


@runs.command()
def show(run: Run, as_json: AsJson = False) -> None:
    """Show one run: which process it is in, how far it is, and how long it will take.

    Example: agentos runs show quickstart-20260101-120000
    """
    from agentos.cli.runs import runs_table
    from agentos.records.views.run_overview import overview

    found = overview(_run(run))
    if as_json:
        typer.echo(json.dumps(runs_table.as_json(found), indent=2))
    else:
        runs_table.show_run(_console(), found)


@runs.command()
def rm(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Run folders, or names.", autocompletion=complete_runs
        ),
    ],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove runs. Runs in progress are refused, and files that a run did not write are kept.

    Example: agentos runs rm quickstart-20260101-120000
    """
    from agentos.records.views.run_overview import overview

    _remove([overview(_run(name)) for name in names], yes, as_json)


@runs.command()
def prune(
    folder: Folder = RUNS,
    older_than: Annotated[
        float, typer.Option(min=0.0, metavar="DAYS", help="Only runs begun so many days ago.")
    ] = 0.0,
    checkpoints: Annotated[
        bool,
        typer.Option(
            "--checkpoints",
            help="Instead, remove the checkpoints of runs that finished: no more fork.",
        ),
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove the runs that were interrupted or failed, after a look at the list of them.

    Example: agentos runs prune --older-than 7
    """
    from agentos.records.identity.removal import remove_checkpoints
    from agentos.records.layout import CHECKPOINTS
    from agentos.records.views.bounded_reads import folder_bytes

    latest = time.time() - 86_400 * older_than
    aged = [run for run in _found(folder) if run.started <= latest]
    if not checkpoints:
        _remove([run for run in aged if run.status in ("interrupted", "failed")], yes, as_json)
        return
    kept = [run for run in aged if run.status == "finished"]
    sizes = {run.directory: folder_bytes(run.directory / CHECKPOINTS) for run in kept}
    sizes = {directory: size for directory, size in sizes.items() if size}
    if _agreed("remove the checkpoints of", sizes, yes, as_json):
        _each(sizes, remove_checkpoints, as_json)


@runs.command()
def log(
    run: Run,
    lines: Annotated[int, typer.Option(min=1, help="Lines from the end.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each line as a JSON object.")
    ] = False,
) -> None:
    """Print the end of a run's log: stages, rounds, warnings, restarts, and how it ended.

    Example: agentos runs log quickstart-20260101-120000 --follow
    """
    from agentos.records.identity.run_process import running_in
    from agentos.records.layout import LOG
    from agentos.records.views.tail import Tail
    from protocols.errors import RecordError

    directory = _run(run)
    if not (directory / LOG).is_file():
        raise RecordError(
            f"{directory} has no log", expected=LOG, hint="earlier releases wrote none"
        )
    show_line = _print_line if as_json else _print
    tail = Tail(directory / LOG, last_bytes=_TAIL_BYTES)
    shown = tail.lines()[-lines:]
    while True:
        for line in shown:
            show_line(line)
        if not follow or running_in(directory) is None:
            break
        time.sleep(_POLL_S)
        shown = tail.lines()
    for line in tail.lines() if follow else ():
        show_line(line)


@runs.command()
def stop(run: Run, as_json: AsJson = False) -> None:
    """Ask a run of this host to end; it completes its records, and can be resumed.

    Example: agentos runs stop quickstart-20260101-120000
    """
    from agentos.records.identity.run_process import stop as stop_run

    directory = _run(run)
    holder = stop_run(directory)
    if as_json:
        typer.echo(json.dumps({"run": str(directory), "process": holder.process}))
        return
    _print(f"process {holder.process} was asked to end; 'agentos resume {directory}' continues it")


def _found(folder: Path) -> list[RunOverview]:
    from agentos.records.views.run_overview import find_runs, overview
    from protocols.errors import RecordError

    if not folder.is_dir():
        raise RecordError(
            f"there is no folder {folder}",
            expected="a folder of runs",
            hint="name the folder that runs were written to; 'agentos run' writes to runs/",
        )
    return sorted((overview(path) for path in find_runs(folder)), key=lambda run: run.started)


def _run(name: str) -> Path:
    """Return a run folder by its path, or by its name under runs/."""
    from agentos.records.identity.removal import is_run_folder
    from protocols.errors import RecordError

    for directory in (Path(name), RUNS / name):
        if is_run_folder(directory):
            return directory
    raise RecordError(
        f"{name} is not a run",
        expected="a run folder, or the name of one under runs/",
        hint="list the runs with 'agentos runs list'",
    )


def _remove(found: list[RunOverview], yes: bool, as_json: bool) -> None:
    from agentos.records.identity.removal import remove_run

    sizes = {run.directory: run.size_bytes for run in found}
    if _agreed("remove", sizes, yes, as_json):
        _each(sizes, remove_run, as_json)


def _agreed(what: str, sizes: dict[Path, int], yes: bool, as_json: bool) -> bool:
    """Say what would be removed, and ask; with JSON, which is no place for a question, require a yes."""
    from agentos.reporting.units import bytes_text
    from protocols.errors import ConfigurationError

    if as_json:
        if not yes:
            raise ConfigurationError(
                "--json asks no question", expected="--yes", hint="add --yes, or leave out --json"
            )
        return True
    if not sizes:
        _print("nothing to remove")
        return False
    for directory, size in sizes.items():
        _print(f"{what} {directory} ({bytes_text(size)})")
    question = f"free {bytes_text(sum(sizes.values()))} for good?"
    return yes or typer.confirm(question)


def _each(
    sizes: Mapping[Path, int], remove: Callable[[Path], tuple[str, ...] | None], as_json: bool
) -> None:
    """Remove one after the other; the first that cannot be removed is an error at the end."""
    from protocols.errors import RecordError

    errors, removed = list[RecordError](), list[dict[str, Any]]()
    for directory, size in sizes.items():
        try:
            kept = remove(directory)
        except RecordError as error:
            errors.append(error)
            continue
        removed.append({"run": str(directory), "bytes": size, "kept": list(kept or ())})
        of_others = f"; kept, as no run wrote it: {', '.join(kept)}" if kept else ""
        if not as_json:
            _print(f"removed {directory}{of_others}")
    if as_json:
        typer.echo(json.dumps({"removed": removed}, indent=2))
    if errors:
        raise errors[0]


def _print_line(line: str) -> None:
    typer.echo(json.dumps({"line": line}))


def _print(text: str) -> None:
    _console().print(text, soft_wrap=True, markup=False, highlight=False)


def _console() -> Console:
    from agentos.cli.display.console import SafeConsole

    return SafeConsole()
