"""``agentos resume`` and ``agentos fork``: continue a run that stopped, and branch off from one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import (
    Address,
    AsJson,
    ChangedDataOk,
    Directory,
    Live,
    Out,
    Profiled,
    TrustedPlugins,
    complete_overrides,
)
from agentos.cli.watched_run import watched
from protocols.errors import ConfigurationError

if TYPE_CHECKING:
    from agentos.config.run import RunConfig


def resume(
    directory: Directory,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="runtime.KEY=VALUE", help="Fields of the runtime to change."),
    ] = None,
    round: Annotated[
        int | None, typer.Option(min=1, help="Round to go back to; default: the latest checkpoint.")
    ] = None,
    address: Address = None,
    profile: Profiled = False,
    changed_data_ok: ChangedDataOk = False,
    trust_plugins: TrustedPlugins = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Continue a run that was killed, interrupted or failed, from its latest checkpoint.

    It ends with the same metrics, byte for byte, as if it had never stopped. Without a checkpoint it
    starts again.

    Example: agentos resume runs/quickstart runtime.object_store_mb=2048
    """
    from agentos.records.identity.folder_lock import alone_in
    from agentos.rounds.resumption import resumption

    config = _config(directory, overrides or [], trust_plugins)
    _require_same_results(_config(directory, [], trust_plugins), config)
    with alone_in(directory):
        start = resumption(directory, round, changed_data_ok)
        watched(config, directory, address, start, profile, live, as_json)


def fork(
    directory: Directory,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY.PATH=VALUE",
            help="Fields to change from then on.",
            autocompletion=complete_overrides,
        ),
    ] = None,
    round: Annotated[
        int, typer.Option(min=1, help="Round after which the new run branches off.")
    ] = ...,  # type: ignore[assignment]
    out: Out = None,
    address: Address = None,
    profile: Profiled = False,
    changed_data_ok: ChangedDataOk = False,
    trust_plugins: TrustedPlugins = None,
    live: Live = False,
    as_json: AsJson = False,
) -> None:
    """Branch off from a run after one of its rounds, under another topology, exchange or schedule.

    The rounds before are copied from its records. Compare both with agentos compare.

    Example: agentos fork runs/quickstart --round 4 topology.kind=complete --out runs/complete
    """
    from agentos.rounds.resumption import branch

    before = _config(directory, [], trust_plugins)
    config = _config(directory, overrides or [], trust_plugins)
    afresh = config.exchange != before.exchange
    start = branch(directory, round, config.training.rounds, afresh, changed_data_ok)
    watched(config, out, address, start, profile, live, as_json)


def _require_same_results(before: RunConfig, config: RunConfig) -> None:
    """Refuse every change that could alter the results; most of the runtime's cannot."""
    arithmetic = {name: getattr(before.runtime, name) for name in ("threads", "device", "stack")}
    if (
        config.model_copy(update={"runtime": before.runtime}) != before
        or config.runtime.model_copy(update=arithmetic) != config.runtime
    ):
        raise ConfigurationError(
            "these changes would alter the results of the rest of the run",
            expected="changes only of runtime, with the same runtime.threads, device and stack",
            hint="branch off with 'agentos fork', or start a new run",
        )


def _config(directory: Path, overrides: list[str], trusted: list[str] | None) -> RunConfig:
    from agentos.config.load import load
    from agentos.records.layout import CONFIG
    from agentos.records.reader import load_run

    load_run(directory)
    return load(str(directory / CONFIG), overrides, trusted)
