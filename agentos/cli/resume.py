"""``agentos resume`` and ``agentos fork``: go on with a run that stopped, and branch off from one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.run import Profiled, watched
from protocols.errors import ConfigurationError

if TYPE_CHECKING:
    from agentos.config.run import RunConfig

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster to join, such as auto.")
]


def resume(
    directory: Directory,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[runtime.KEY=VALUE]...", help="Where and with what means to go on, this time."
        ),
    ] = None,
    round: Annotated[
        int | None, typer.Option(min=1, help="Round to go back to; default: the latest checkpoint.")
    ] = None,
    address: Address = None,
    profile: Profiled = False,
) -> None:
    """Go on with a run that was killed, interrupted or failed, from its latest checkpoint.

    It ends with the same metrics, byte for byte, as if it had never stopped. Without a checkpoint it
    begins again.

    Example: agentos resume runs/quickstart-1 runtime.object_store_mb=2048
    """
    from agentos.rounds.resumption import resumption

    config = _config(directory, overrides or [])
    _require_same_results(_config(directory, []), config)
    watched(config, directory, address, resumption(directory, round), profile)


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
    profile: Profiled = False,
) -> None:
    """Branch off from a run after one of its rounds, under another topology, exchange or schedule.

    The rounds before are taken over from its records. Compare both with agentos compare.

    Example: agentos fork runs/quickstart-1 --round 4 topology.kind=complete --out runs/complete
    """
    from agentos.rounds.resumption import branch

    before, config = _config(directory, []), _config(directory, overrides or [])
    afresh = config.exchange != before.exchange
    start = branch(directory, round, config.training.rounds, afresh)
    watched(config, out, address, start, profile)


def _require_same_results(before: RunConfig, config: RunConfig) -> None:
    """Refuse changes other than those of the runtime that no result depends on."""
    arithmetic = {"threads": before.runtime.threads, "device": before.runtime.device}
    if (
        config.model_copy(update={"runtime": before.runtime}) != before
        or config.runtime.model_copy(update=arithmetic) != config.runtime
    ):
        raise ConfigurationError(
            "the run would end with other metrics than it began with",
            expected="changes of runtime alone, with the same runtime.threads and runtime.device",
            hint="branch off with 'agentos fork', or begin a new run",
        )


def _config(directory: Path, overrides: list[str]) -> RunConfig:
    from agentos.config.load import load
    from agentos.records.reader import CONFIG, load_run

    load_run(directory)
    return load(str(directory / CONFIG), overrides)
