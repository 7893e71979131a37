"""``agentos solve``, ``analyse`` and ``ask``: a society works on a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import Address, TaskFile, TaskOut, TaskOverrides

if TYPE_CHECKING:
    from agentos.cli.display.console import SafeConsole
    from agentos.tasks.config import Task


def solve(
    file: TaskFile,
    overrides: TaskOverrides = None,
    out: TaskOut = None,
    address: Address = None,
) -> None:
    """Let a society work on a task: analyse it, choose and adapt models, compare ways to cooperate, answer.

    Ends with a table of the ways to answer the test texts, and whether one agent was enough. The same command
    again uses what was embedded before.

    Example: agentos solve triage.yaml topology.kind=layered --out runs/triage
    """
    from agentos.cli.display.task_tables import show_solved
    from agentos.reporting.task_report import write_task_report
    from agentos.tasks.solving.run_task import solve as work

    console, task, directory = _begun(file, overrides, out)
    with console.status("Reading text") as status:
        solved = work(task, directory, status.update, address)
        write_task_report(solved)
    show_solved(console, solved)


def analyse(
    file: TaskFile,
    overrides: TaskOverrides = None,
    out: TaskOut = None,
    address: Address = None,
) -> None:
    """Analyse a task with the models of its library, and stop: is it worth cooperating?

    Example: agentos analyse triage.yaml
    """
    from agentos.cli.display.task_tables import show_analysis
    from agentos.tasks.solving.run_task import analyse_only

    console, task, directory = _begun(file, overrides, out)
    with console.status("Reading text") as status:
        analysis = analyse_only(task, directory, status.update, address)
    show_analysis(console, analysis, directory)


def ask(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that 'agentos solve' wrote.")
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts to answer.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file with one text a line, answered after the others.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    address: Address = None,
) -> None:
    """Answer new texts with a society that 'agentos solve' made.

    Example: agentos ask runs/triage "The monitor stays black" --json
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.task_tables import show_replies
    from agentos.tasks.society.open_society import Society

    asked = [*(texts or []), *(_lines(file) if file else [])]
    with Society.open(directory, address) as society:
        found = society.ask(asked)
    if as_json:
        rows = [reply._asdict() for reply in found.replies]
        typer.echo(json.dumps({"replies": rows, "seconds": found.seconds}, indent=2))
    else:
        show_replies(SafeConsole(), asked, found)


def _begun(
    file: str, overrides: list[str] | None, out: Path | None
) -> tuple[SafeConsole, Task, Path]:
    from agentos.cli.display.console import SafeConsole
    from agentos.config.task_file import load_task

    task = load_task(file, overrides or ())
    return SafeConsole(), task, out or Path("runs") / task.name


def _lines(path: Path) -> list[str]:
    from agentos.data.sources.lines import lines
    from protocols.errors import DataError

    found = []
    for _, line in lines(path, "utf-8"):
        if isinstance(line, DataError):
            raise line
        found.append(line)
    return found
