"""``agentos learn``: a society learns a stream under a live display."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentos.cli.arguments import Address, AsJson, TrustedPlugins


def _complete(ctx: typer.Context, incomplete: str) -> list[str]:
    from agentos.config.completion import completed_overrides
    from agentos.learning.config import LifeConfig

    return completed_overrides(incomplete, ctx.params.get("overrides") or (), LifeConfig)


def learn(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file of a life.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY.PATH=VALUE",
            help="Fields to change, such as learn.kind=er gate.drop=0.02.",
            autocompletion=_complete,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the records; default: runs/NAME. An interrupted life goes on there."
        ),
    ] = None,
    address: Address = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Go on with files that come into the stream's folder, until Ctrl-C."
        ),
    ] = False,
    branch: Annotated[
        Path | None,
        typer.Option(help="Folder of a life to go on from, under another gate, label or novelty."),
    ] = None,
    after: Annotated[
        int | None, typer.Option(min=1, help="Episodes of that life to keep; default: all.")
    ] = None,
    trust_plugins: TrustedPlugins = None,
    as_json: AsJson = False,
) -> None:
    """Let a society learn a stream, one episode after another; a gate lets updates in, or takes them back.

    Rerun the command to go on after an interruption. With --follow each new file in the folder of a stream of
    the kind folder is a new episode.

    Example: agentos learn experiments/learning/life.yaml learn=er --out runs/er

    Example: agentos learn life.yaml gate.drop=0.05 --branch runs/life --after 1 --out runs/bolder
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.life_progress import LifeDisplay, show_life
    from agentos.learning.config import load_life
    from agentos.learning.life import Life
    from agentos.runtime.interruption import interruptible, named

    console = SafeConsole(stderr=as_json)
    config = load_life(str(file), overrides or [], trust_plugins)
    directory = out or Path("runs") / config.name
    with interruptible(), LifeDisplay(console, config.name) as display:
        try:
            life = Life(config, directory, display, address)
            if branch is not None:
                record = life.branch(branch, after)
            else:
                record = life.follow() if follow else life.run()
        except KeyboardInterrupt as error:
            interrupted = named(error)
            display.close()
            advice = f"finished episodes are in {directory}; the same command goes on"
            SafeConsole(stderr=True).print(f"{interrupted}; {advice}", soft_wrap=True, markup=False)
            raise typer.Exit(interrupted.exit_code) from None
    show_life(console, record, directory)
    if as_json:
        typer.echo(json.dumps({"life": str(directory), **record.model_dump(mode="json")}, indent=2))
