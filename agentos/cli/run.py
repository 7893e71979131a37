"""A run that is watched on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.rounds.resumption import Resumption

INTERRUPTED = 130
Profiled = Annotated[
    bool, typer.Option("--profile", help="Write what took how long, host by host: trace.json.")
]


def watched(
    config: RunConfig,
    out: Path | None,
    address: str | None,
    resumption: Resumption | None = None,
    profile: bool = False,
) -> None:
    """Run a society under a live display and show what came of it.

    Raises:
        typer.Exit: with the exit code of an interruption, after Ctrl-C.
    """
    from rich.console import Console

    from agentos import Simulation
    from agentos.cli.progress import LiveDisplay, show_result

    console = Console()
    with LiveDisplay(console, config) as display:
        simulation = Simulation(config, out, display, address, profile=profile)
        try:
            result = simulation.run(resumption)
        except KeyboardInterrupt:
            display.close()
            kept = simulation.directory
            told = (
                f"what was recorded is in {kept}; 'agentos resume {kept}' goes on with it"
                if kept.is_dir()
                else "nothing was recorded"
            )
            Console(stderr=True).print(f"interrupted; {told}", soft_wrap=True, markup=False)
            raise typer.Exit(INTERRUPTED) from None
    show_result(console, result.directory)
