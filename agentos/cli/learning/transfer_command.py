"""``agentos transfer``: a new agent starts from what a society has learnt."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from agentos.cli.arguments import AsJson, Directory, Out


def transfer(
    directory: Directory,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY.PATH=VALUE",
            help="Fields to change; encoder.preset=small is the new agent's size.",
        ),
    ] = None,
    out: Out = None,
    share: Annotated[
        float, typer.Option(help="Steps of the new agent, relative to those of an elder.")
    ] = 0.25,
    as_json: AsJson = False,
) -> None:
    """Start a new agent, of any size, from what a society has learnt; compare it with one that did not.

    DIR is the folder of a finished run, or of a life of agentos learn. The encoders that it saved teach what
    they found about the public anchors. Both new agents read the same text, equally long. The run folder of
    the new agent is as that of any run.

    Example: agentos transfer runs/quickstart encoder.preset=small --out runs/newcomer
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.transfer_table import show_transfer, transfer_json
    from agentos.events import Listener
    from agentos.learning.transfer import transfer as hand_on
    from agentos.runtime.interruption import interruptible

    console = SafeConsole()
    with interruptible(), console.status("Asking the elders"):
        found = hand_on(directory, overrides or [], out, share, Listener())
    if as_json:
        typer.echo(json.dumps(transfer_json(found), indent=2))
    else:
        show_transfer(console, found)
