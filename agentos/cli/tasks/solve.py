"""``agentos solve``, ``analyse`` and ``ask``: a society works on a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import Address, AsJson, TaskFile, TaskOut, TaskOverrides, TrustedPlugins

if TYPE_CHECKING:
    from agentos.cli.display.console import SafeConsole


def solve(
    file: TaskFile,
    overrides: TaskOverrides = None,
    out: TaskOut = None,
    address: Address = None,
    as_json: AsJson = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Let a society work on a task: analyse it, choose and adapt models, compare ways to cooperate, answer.

    The task classifies texts or pairs of them (classify, pair), searches documents that the agents share
    (rank), continues texts (generate), or is a graph of such parts (composite). Ends with a table of the ways
    to answer the test texts, and whether one agent was enough. The same command again uses what was embedded
    before. With --json the content of results.json is printed.

    Example: agentos solve triage.yaml topology.kind=layered --out runs/triage
    """
    from agentos.cli.display.kind_tables import show_any
    from agentos.config.task_file import load_task
    from agentos.reporting.tasks.kind_report import write_any_report
    from agentos.tasks.solving.solve_any import solve as work
    from agentos.tasks.solving.work_folder import RESULTS

    console, directory = _console(as_json), out
    task = load_task(file, overrides or (), trust_plugins)
    with console.status("Reading text") as status:
        solved = work(task, directory or Path("runs") / task.name, status.update, address)
        write_any_report(solved)
    if as_json:
        typer.echo((solved.directory / RESULTS).read_text(encoding="utf-8").rstrip())
    else:
        show_any(console, solved)


def analyse(
    file: TaskFile,
    overrides: TaskOverrides = None,
    out: TaskOut = None,
    address: Address = None,
    as_json: AsJson = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Analyse a task with the models of its library, and stop: is it worth cooperating?

    Example: agentos analyse triage.yaml
    """
    from agentos.cli.display.task_tables import show_analysis
    from agentos.config.task_file import load_labelled_task
    from agentos.tasks.solving.run_task import analyse_only

    console = _console(as_json)
    task = load_labelled_task(file, overrides or (), trust_plugins)
    directory = out or Path("runs") / task.name
    with console.status("Reading text") as status:
        analysis = analyse_only(task, directory, status.update, address)
    if as_json:
        typer.echo(json.dumps(analysis.as_json(), indent=2))
    else:
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
    sentences: Annotated[
        int | None,
        typer.Option(min=1, help="Summarise each text by so many of its sentences (kind rank)."),
    ] = None,
    as_json: AsJson = False,
    address: Address = None,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Answer new texts with a society that 'agentos solve' made.

    Texts get a label, queries the documents that were found, prompts a continuation, and the texts of a
    composite what each part answers. A society that searches also summarises, with --sentences.

    Example: agentos ask runs/triage "The monitor stays black" --json
    """
    from agentos.cli.display.kind_tables import show_answers
    from agentos.tasks.society.open_any import open_any, reply_json, summaries

    asked = [*(texts or []), *(_lines(file) if file else [])]
    with open_any(directory, address, trust_plugins) as society:
        found = summaries(society, asked, sentences) if sentences else society.ask(asked)
    if as_json:
        rows = [reply_json(reply) for reply in found.replies]
        typer.echo(json.dumps({"replies": rows, "seconds": found.seconds}, indent=2))
    else:
        show_answers(_console(), asked, found)


def _console(stderr: bool = False) -> SafeConsole:
    from agentos.cli.display.console import SafeConsole

    return SafeConsole(stderr=stderr)


def _lines(path: Path) -> list[str]:
    from agentos.data.sources.lines import lines
    from protocols.errors import DataError

    found = []
    for _, line in lines(path, "utf-8"):
        if isinstance(line, DataError):
            raise line
        found.append(line)
    return found
