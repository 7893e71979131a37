"""The command line. Heavy modules are imported by the command that needs them, never by ``--help``."""

from __future__ import annotations

import gc
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.check import check
from agentos.cli.data import data
from agentos.cli.evaluate import evaluate
from agentos.cli.generate import generate
from agentos.cli.resume import fork, resume
from agentos.cli.run import Profiled, watched
from agentos.cli.sweep import sweep

if TYPE_CHECKING:
    from rich.console import Console

    from protocols.errors import AgentOSError

app = typer.Typer(
    name="agentos",
    help="Societies of language-encoder agents that pretrain together by exchanging representations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Source = Annotated[
    str,
    typer.Argument(metavar="FILE_OR_NAME", help="A YAML file, or the name of a ready-made run."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY.PATH=VALUE]...",
        help="Fields to change, such as topology.kind=layered agents.count=12.",
    ),
]

INVALID, FAILED = 2, 1


@app.command()
def run(
    source: Source,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; default: a new one under runs/.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster to join, such as auto.")
    ] = None,
    profile: Profiled = False,
) -> None:
    """Run a society of agents, and the same agents alone; write records and a report.

    Example: agentos run quickstart training.rounds=4 topology.kind=complete
    """
    from agentos.config.load import load

    watched(load(source, overrides or []), out, address, profile=profile)


@app.command()
def validate(source: Source, overrides: Overrides = None) -> None:
    """Check a configuration; run nothing."""
    from agentos.config.load import load

    config = load(source, overrides or [])
    exchange, topology = config.exchange.kind, config.topology.kind
    # Without rich, whose import takes a twentieth of a second.
    typer.echo(
        f"{typer.style('valid', fg='green')} {config.name}: {config.agents.total} agents, {topology}, "
        f"{exchange}, {config.training.rounds} rounds x {config.training.local_steps} steps"
    )


@app.command()
def show(source: Source, overrides: Overrides = None) -> None:
    """Print a configuration with every default filled in; the output is itself a configuration."""
    from agentos.config.load import load
    from agentos.config.yaml_values import dump

    text = dump(load(source, overrides or []).resolved(), allow_unicode=False)
    _console().print(text, end="", highlight=False, markup=False, soft_wrap=True)


@app.command(name="list")
def list_kinds() -> None:
    """List every kind of every extension point, and the ready-made runs."""
    from agentos.cli.kinds import show_kinds

    show_kinds(_console())


@app.command()
def schema() -> None:
    """Print the JSON schema of a run, for editors that complete and check YAML."""
    from agentos.config.run import RunConfig

    text = json.dumps(RunConfig.model_json_schema(), indent=2)
    _console().print(text, highlight=False, markup=False, soft_wrap=True)


@app.command()
def topology(
    kind: Annotated[str, typer.Argument(help="Kind of topology; see agentos list.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Its parameters.")
    ] = None,
    agents: Annotated[int, typer.Option(help="Number of agents.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of random topologies.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Picture: .png, .svg or .pdf; default topology-KIND.png.")
    ] = None,
) -> None:
    """Print a topology's figures, and draw it with roles and levels.

    Example: agentos topology layered --agents 15 branching=2
    """
    from agentos.cli.kinds import show_topology
    from agentos.config.load import load_topology
    from agentos.reporting.network.draw import draw_network, save

    chosen = load_topology(kind, parameters or [])
    network = chosen.build(agents, seed)
    picture = out or Path(f"topology-{kind}.png")
    save(draw_network(network, title=f"{kind}, {agents} agents"), picture)
    show_topology(_console(), chosen, network, picture)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
) -> None:
    """Build a run's report again from its records."""
    from agentos.reporting.report import write_report

    _console().print(f"report: {write_report(directory)}", soft_wrap=True, markup=False)


@app.command()
def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Page with the plots.")] = Path("comparison.html"),
) -> None:
    """Compare runs: print a table, and plot quality against bytes."""
    from agentos.cli.progress import show_comparison
    from agentos.reporting.comparison import compare as compare_runs
    from agentos.reporting.comparison import write_comparison

    console = _console()
    show_comparison(console, compare_runs(directories))
    console.print(f"plots: {write_comparison(directories, out)}", soft_wrap=True, markup=False)


app.command()(resume)
app.command()(fork)
app.command()(check)
app.command("data")(data)
app.command()(generate)
app.command()(sweep)
app.command(name="eval")(evaluate)


def main() -> None:
    """Run the command line; every expected error ends in a message and an exit code."""
    from protocols.errors import AgentOSError, ConfigurationError

    # Imports make many objects and little garbage, and looking for it takes a tenth of their time.
    gc.set_threshold(20_000)
    # Looking for plugins of pydantic reads the metadata of every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except AgentOSError as error:
        _explain(error)
        raise SystemExit(INVALID if isinstance(error, ConfigurationError) else FAILED) from None


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def _explain(error: AgentOSError) -> None:
    from agentos.cli.kinds import show_error

    show_error(_console(stderr=True), error)


if __name__ == "__main__":
    main()
