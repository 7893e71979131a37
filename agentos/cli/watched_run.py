"""``agentos run``: run a society under a live display."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentos.cli.arguments import (
    Address,
    AsJson,
    Live,
    Out,
    Overrides,
    Profiled,
    Source,
    TrustedPlugins,
)

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.rounds.resumption import Resumption


def run(
    source: Source,
    overrides: Overrides = None,
    out: Out = None,
    address: Address = None,
    profile: Profiled = False,
    trust_plugins: TrustedPlugins = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Train a society of agents, then the same agents in isolation; write records and a report.

    With --json, the folder of the run and its summary are printed as JSON, and the rest goes to stderr.

    Example: agentos run quickstart training.rounds=4 topology.kind=complete
    """
    from agentos.config.load import load

    config = load(source, overrides or [], trust_plugins)
    watched(config, out, address, profile=profile, live=live, as_json=as_json)


def watched(
    config: RunConfig,
    out: Path | None,
    address: str | None,
    resumption: Resumption | None = None,
    profile: bool = False,
    live: bool = False,
    as_json: bool = False,
) -> None:
    """Run a society under a live display, and with a page in the browser if asked; then print its outcome.

    Raises:
        typer.Exit: after Ctrl-C, SIGTERM or SIGHUP, with the exit code of the signal.
    """
    from agentos import Simulation
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.outcome_tables import show_outcome
    from agentos.cli.display.progress import LiveDisplay
    from agentos.cli.runs.watch import live_page
    from agentos.records.reader import load_run
    from agentos.runtime.interruption import interruptible, named

    console = SafeConsole(stderr=as_json)
    tell = partial(console.print, soft_wrap=True, markup=False, highlight=False)
    with interruptible(), LiveDisplay(console, config) as display:
        simulation = Simulation(config, out, display, address, profile=profile)
        try:
            with live_page(simulation.directory if live else None, tell):
                result = simulation.run(resumption)
        except KeyboardInterrupt as error:
            interrupted = named(error)
            display.close()
            kept = simulation.directory
            advice = (
                f"records: {kept}; 'agentos resume {kept}' continues the run"
                if kept.is_dir()
                else "nothing was recorded"
            )
            SafeConsole(stderr=True).print(f"{interrupted}; {advice}", soft_wrap=True, markup=False)
            raise typer.Exit(interrupted.exit_code) from None
    _explain(result.directory, simulation.config, tell)
    show_outcome(console, result.directory)
    if as_json:
        summary = load_run(result.directory).summary or {}
        typer.echo(json.dumps({"run": str(result.directory), **summary}, indent=2))


def _explain(directory: Path, config: RunConfig, tell: Callable[[str], None]) -> None:
    """Add explanations of held-out texts to the report; a run without encoders, or of decoders, has none."""
    if not config.evaluation.explained or config.saved_encoders == 0:
        return
    try:
        from agentos.audit.explanation.run_explanations import explain_run
    except ImportError as error:
        tell(f"no text is explained: {error.name} is not installed")
        return
    from agentos.events import Listener
    from agentos.reporting.report import write_report
    from agentos.simulation.preparation import heldout_of, prepare_corpus
    from protocols.errors import AgentOSError

    try:
        corpus = prepare_corpus(config, Listener())
        texts, anchors = heldout_of(config, corpus).texts, corpus.texts(corpus.anchors)
        explain_run(directory, texts, anchors, config.evaluation.explained, config.seed)
        write_report(directory)
    except AgentOSError as error:  # the run itself has ended well
        tell(f"no text is explained: {error}")
