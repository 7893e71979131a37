"""``agentos resume`` and ``agentos fork``: go on with a run that stopped, and branch off from one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.commands.running import watched

if TYPE_CHECKING:
    from agentos.config import RunConfig

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster to join, such as auto.")
]


def resume(
    directory: Directory,
    round: Annotated[
        int | None, typer.Option(min=1, help="Round to go back to; default: the latest checkpoint.")
    ] = None,
    address: Address = None,
) -> None:
    """Go on with a run that was killed, interrupted or failed, from its latest checkpoint.

    It ends with the same metrics, byte for byte, as if it had never stopped. Without a checkpoint it
    begins again.

    Example: agentos resume runs/quickstart-1
    """
    from agentos.resuming import resumption

    found = resumption(directory, round)
    watched(_config(directory, []), directory, address, found)


def fork(
    directory: Directory,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY.PATH=VALUE]...", help="What is to be different from then on."),
    ] = None,
    round: Annotated[
        int, typer.Option(min=1, help="Round after which the new run goes its own way.")
    ] = ...,  # type: ignore[assignment]
    out: Annotated[
        Path | None, typer.Option(help="Run folder; default: a new one under runs/.")
    ] = None,
    address: Address = None,
) -> None:
    """Branch off from a run after one of its rounds, under another topology, exchange or schedule.

    The rounds before are taken over from its records. Compare both with agentos compare.

    Example: agentos fork runs/quickstart-1 --round 4 topology.kind=complete --out runs/complete
    """
    from agentos.resuming import branch

    config = _config(directory, overrides or [])
    watched(config, out, address, branch(directory, config, round))


def _config(directory: Path, overrides: list[str]) -> RunConfig:
    from agentos.loading import load
    from agentos.run_record import CONFIG, load_run

    load_run(directory)
    return load(str(directory / CONFIG), overrides)
