"""The command line: assembles all commands. Each imports heavy modules itself, so ``--help`` stays fast."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import (
    AsJson,
    Directory,
    Overrides,
    Point,
    SchemaOf,
    Source,
    TrustedPlugins,
)
from agentos.cli.check import check
from agentos.cli.data import data
from agentos.cli.encoders.audit import audit
from agentos.cli.encoders.evaluate import evaluate
from agentos.cli.encoders.explain import explain
from agentos.cli.encoders.export_encoders import export
from agentos.cli.encoders.generate import generate
from agentos.cli.encoders.push import push
from agentos.cli.learning.knowledge_commands import knowledge
from agentos.cli.learning.learn import learn
from agentos.cli.learning.transfer_command import transfer
from agentos.cli.project.new_project import init
from agentos.cli.resume import fork, resume
from agentos.cli.runs.compare import compare
from agentos.cli.runs.runs_commands import runs
from agentos.cli.runs.watch import watch
from agentos.cli.sweep import sweep
from agentos.cli.tasks.model_library import library
from agentos.cli.tasks.planned_work import plan
from agentos.cli.tasks.serve import serve
from agentos.cli.tasks.solve import analyse, ask, solve
from agentos.cli.topology import topology
from agentos.cli.watched_run import run
from agentos.data.printable_text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from protocols.errors import AgentOSError

app = typer.Typer(
    name="agentos",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

logger = logging.getLogger(__name__)

INVALID, FAILED = 2, 1


def _show_version(wanted: bool) -> None:
    """Print the version and end, if it is asked for."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"agentos {version('llm-agentos')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version."),
    ] = False,
) -> None:
    """Train societies of language agents (encoders or decoders) that learn together.

    They exchange representations, labels, prototypes or weights.
    """


app.command(short_help="Train a society, and the same agents in isolation.")(run)


@app.command(short_help="Check a configuration without running it.")
def validate(
    source: Source,
    overrides: Overrides = None,
    trust_plugins: TrustedPlugins = None,
    as_json: AsJson = False,
) -> None:
    """Check a configuration, and that what it reads is there, without running it.

    With --json, the problems are printed as data: their fields, what was given and what is allowed.
    """
    from agentos.config.field_errors import InvalidConfiguration
    from agentos.config.load import load

    try:
        config = load(source, overrides or [], trust_plugins)
    except InvalidConfiguration as error:
        if not as_json:
            raise
        problems = [vars(problem) for problem in error.problems]
        typer.echo(json.dumps({"valid": False, "problems": problems}, indent=2))
        raise typer.Exit(INVALID) from None
    config.require_inputs()
    if as_json:
        typer.echo(json.dumps({"valid": True, "name": config.name, "problems": []}, indent=2))
        return
    exchange, topology = config.exchange.kind, config.topology.kind
    # Without rich, whose import takes a twentieth of a second.
    typer.echo(
        f"{typer.style('valid', fg='green')} {config.name}: {config.agents.total} agents, {topology}, "
        f"{exchange}, {config.training.rounds} rounds x {config.training.local_steps} steps"
    )


@app.command(short_help="Print a configuration with every default filled in.")
def show(source: Source, overrides: Overrides = None, trust_plugins: TrustedPlugins = None) -> None:
    """Print a configuration with every default filled in, itself a valid configuration."""
    from agentos.config.load import load
    from agentos.data.yaml_values import dump

    text = dump(load(source, overrides or [], trust_plugins).resolved(), allow_unicode=False)
    _console().print(text, end="", highlight=False, markup=False, soft_wrap=True)


@app.command(name="list", short_help="List the kinds of every extension point.")
def list_kinds(point: Point = None, as_json: AsJson = False) -> None:
    """List every kind of every extension point with its paper, and the ready-made runs.

    With POINT, list only its kinds, and their parameters.

    Example: agentos list topology
    """
    from agentos.cli.display.kinds import kinds_of, show_kinds

    if as_json:
        typer.echo(json.dumps(kinds_of(point), indent=2))
    else:
        show_kinds(_console(), point)


@app.command(short_help="Print the JSON schema of a file, for editors.")
def schema(of: SchemaOf = "run") -> None:
    """Print the JSON schema of a run, task or sweep file, for editors that complete and validate YAML.

    Example: agentos schema task > task.schema.json
    """
    if of == "task":
        from agentos.tasks.config import json_schema

        described = json_schema()
    elif of == "sweep":
        from agentos.sweep.config import SweepConfig

        described = SweepConfig.model_json_schema()
    else:
        from agentos.config.run import RunConfig

        described = RunConfig.model_json_schema()
    text = json.dumps(described, indent=2)
    _console().print(text, highlight=False, markup=False, soft_wrap=True)


@app.command(short_help="Rebuild the report of a run from its records.")
def report(directory: Directory, as_json: AsJson = False) -> None:
    """Rebuild the report of a run from its records."""
    from agentos.reporting.report import write_report

    page = write_report(directory)
    if as_json:
        typer.echo(json.dumps({"report": str(page)}))
        return
    _console().print(f"report: {page}", soft_wrap=True, markup=False)


app.command(short_help="Begin a project with an exchange of your own.")(init)
app.command(short_help="Serve a live page of runs in progress.")(watch)
app.command(short_help="Compare runs in one table and a chart.")(compare)
app.command(short_help="Print the figures of a topology, and draw it.")(topology)
app.command(short_help="Continue a run from its latest checkpoint.")(resume)
app.command(short_help="Continue a run under other settings.")(fork)
app.command(short_help="Check the protocol of a run and count its bytes.")(check)
app.command("data", short_help="Read and divide text as a run would.")(data)
app.command(short_help="Continue a text with a causal agent.")(generate)
app.command(short_help="Explain an embedding by the words of a text.")(explain)
app.command(short_help="Attack the encoders of a run, and test them for bias.")(audit)
app.command(short_help="Run arms x axes x seeds, one row of results per run.")(sweep)
app.command(short_help="Learn a stream, one episode after another.")(learn)
app.command(short_help="Start a new agent from what a run has learnt.")(transfer)
app.command(short_help="Copy encoders of a run into one folder.")(export)
app.command(short_help="Let a society work on a task.")(solve)
app.command(short_help="Analyse a task, and stop.")(analyse)
app.command(short_help="Answer texts with a society that solved a task.")(ask)
app.command(short_help="Upload an encoder to the Hugging Face hub.")(push)
app.command(short_help="Serve a society that solved a task over HTTP.")(serve)
app.command(name="eval", short_help="Evaluate exported encoders, or any model.")(evaluate)
app.command(short_help="Plan who would do what in a task, and its cost.")(plan)
app.add_typer(library)
app.add_typer(runs, name="runs", short_help="List, show, stop and remove runs.")
app.add_typer(knowledge, name="knowledge", short_help="Look into a knowledge base, and correct it.")


class _CleanFormatter(logging.Formatter):
    """Writes out the control characters of strangers' texts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return printable(super().format(record))


def main() -> None:
    """Run the command line; every expected error becomes a message and an exit code."""
    from agentos.cli.display.streams import forgiving_streams

    # Imports make many objects and little garbage: collecting it takes a tenth of their time.
    gc.set_threshold(20_000)
    # Without this, pydantic reads the metadata of every installed package to find plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    before, threading.excepthook = threading.excepthook, report_thread
    try:
        with forgiving_streams():
            logging.basicConfig(level=logging.WARNING)
            for handler in logging.getLogger().handlers:
                handler.setFormatter(_CleanFormatter("%(levelname)s %(name)s: %(message)s"))
            _call()
    finally:
        threading.excepthook = before


def report_thread(ended: threading.ExceptHookArgs) -> None:
    """Log an error of a background thread in one line; TensorBoard's writer meets a full disk in one."""
    name = "a thread" if ended.thread is None else f"the thread {ended.thread.name}"
    logger.warning("%s ended: %s", name, ended.exc_value or ended.exc_type.__name__)


def _call() -> None:
    from protocols.errors import AgentOSError, ConfigurationError

    try:
        app()
    except AgentOSError as error:
        _explain(error)
        raise SystemExit(INVALID if isinstance(error, ConfigurationError) else FAILED) from None


def _console(stderr: bool = False) -> Console:
    from agentos.cli.display.console import SafeConsole

    return SafeConsole(stderr=stderr)


def _explain(error: AgentOSError) -> None:
    from agentos.cli.display.error_text import show_error

    show_error(_console(stderr=True), error)


if __name__ == "__main__":
    main()
