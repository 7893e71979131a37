"""``agentos check``: check the protocol of a run and count its bytes, before anything runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from agentos.cli.arguments import AsJson, Overrides, Source, TrustedPlugins

if TYPE_CHECKING:
    from rich.console import Console

    from agentos.config.run import RunConfig
    from agentos.preflight.protocol_checks import DryRun

_AGENTS = 20
"""Most agents that are listed one by one."""


def check(
    source: Source,
    overrides: Overrides = None,
    trust_plugins: TrustedPlugins = None,
    as_json: AsJson = False,
) -> None:
    """Simulate the protocol of a run: which messages go where, and their bytes; train nothing.

    Every message must be one that its receiver expects, every hop must end, and every agent must be
    reachable. Bytes are those on the wire, headers and codec included, if every message arrives. Two
    things are known only once the text is read: the vocabulary, on which the size of weights depends, is
    taken at its maximum; and document counts in some headers may change a message by 64 bytes.

    Exits with 0 if the protocol is sound; otherwise with 2, and prints what to fix.

    Example: agentos check quickstart exchange.codec=int8

    Example: agentos check society.yaml topology.kind=layered exchange.kind=fedavg
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.config.field_errors import InvalidConfiguration
    from agentos.config.load import load
    from agentos.preflight.dry_run import check_protocol

    console = SafeConsole()
    config = load(source, overrides or [], trust_plugins)
    config.require_inputs()
    found = check_protocol(config.protocol())
    if as_json:
        typer.echo(json.dumps(as_values(config, found), indent=2))
        raise typer.Exit(2 if found.problems else 0)
    show(console, config, found)
    if found.problems:
        raise InvalidConfiguration(source, found.problems)
    console.print(f"[green]sound[/] {config.name}: every message has a receiver, every hop ends")


def as_values(config: RunConfig, found: DryRun) -> dict[str, Any]:
    """Return what a dry run found as plain values: bytes of the whole run, and the problems."""
    from agentos.records.layout import agent_name
    from agents.exchange.accountant import guarantees, refusal

    ledger, shown = found.ledger, config.exchange.shows
    stated = guarantees(config.exchange, ledger, config.agents.total)
    return {
        "sound": not found.problems,
        "problems": [vars(problem) for problem in found.problems],
        "exchanges": len(found.rounds),
        "bytes": ledger.total(),
        "fp32_bytes": ledger.fp32_total(),
        "bytes_by_kind": ledger.by_kind(),
        "bytes_by_agent": {
            agent_name(agent): {"sent": sent, "received": received}
            for agent, (sent, received) in sorted(ledger.by_agent().items())
        },
        "messages_show": None if shown is None else sorted(shown),
        "privacy": {
            "refused": refusal(config.exchange, frozenset(ledger.by_kind())),
            "agents": {
                agent_name(each.agent): {"epsilon": each.epsilon, "delta": each.delta}
                for each in stated
            },
        },
    }


def show(console: Console, config: RunConfig, found: DryRun) -> None:
    """Print the messages of a run: hop by hop in its first exchange, then in all."""
    from agents.exchange.accountant import statement

    console.print(
        f"[bold]{config.name}[/]: {config.agents.total} agents, {config.topology.kind}, "
        f"{config.exchange.kind} as {config.exchange.codec.kind}; "
        f"{len(found.rounds)} exchanges in {config.training.rounds} rounds",
        highlight=False,
    )
    if not found.ledger.total():
        console.print("nothing is sent")
        return
    console.print(
        statement(config.exchange, found.ledger, config.agents.total),
        highlight=False,
        soft_wrap=True,
    )
    _show_hops(console, config, found)
    _show_agents(console, config, found)
    _show_kinds(console, found)
    for sentence in found.silent:
        console.print(sentence, highlight=False)
    if found.apart:
        pairs = config.agents.total * (config.agents.total - 1)
        console.print(
            f"{found.apart:,} of {pairs:,} pairs of agents never influence each other, not even "
            "indirectly: the run has fewer exchanges than there are edges between them",
            highlight=False,
        )


def _show_hops(console: Console, config: RunConfig, found: DryRun) -> None:
    from rich.table import Table

    from agentos.reporting.units import bytes_text

    first = found.rounds[0]
    rows = found.ledger.rows(first)
    table = Table(title=f"Round {first}, hop by hop", title_justify="left")
    table.add_column("hop")
    table.add_column("message")
    for heading in ("deliveries", "bytes each", "bytes"):
        table.add_column(heading, justify="right")
    columns = (rows[name] for name in ("hop", "kind", "payload_bytes"))
    messages = list(zip(*columns, strict=True))
    directions = {hop.index: str(hop.direction) for hop in config.network().hops(first)}
    for hop, kind in sorted({(hop, kind) for hop, kind, _ in messages}):
        sizes = [size for h, k, size in messages if (h, k) == (hop, kind)]
        least, most = f"{min(sizes):,}", f"{max(sizes):,}"
        each = least if least == most else f"{least} to {most}"
        table.add_row(
            f"{hop} {directions[hop]}", kind, f"{len(sizes):,}", each, bytes_text(sum(sizes))
        )
    console.print(table)


def _show_agents(console: Console, config: RunConfig, found: DryRun) -> None:
    from rich.table import Table

    from agentos.reporting.units import bytes_text

    count, exchanges = config.agents.total, len(found.rounds)
    table = Table(title="Bytes of each agent in a round with an exchange", title_justify="left")
    table.add_column("agent")
    for heading in ("sent", "received", "both in the run"):
        table.add_column(heading, justify="right")
    sums = found.ledger.by_agent()
    both = [sums.get(agent, (0, 0)) for agent in range(count)]
    rows: dict[str, tuple[float, float]]
    rows = {f"agent-{agent}": values for agent, values in enumerate(both) if count <= _AGENTS}
    rows["busiest"] = max(both, key=sum)
    rows["mean"] = (sum(sent for sent, _ in both) / count, sum(got for _, got in both) / count)
    for name, (sent, received) in rows.items():
        figures = (sent / exchanges, received / exchanges, sent + received)
        table.add_row(name, *map(bytes_text, figures))
    console.print(table)


def _show_kinds(console: Console, found: DryRun) -> None:
    from rich.table import Table

    from agentos.reporting.units import bytes_text, saved_text

    table = Table(title="Bytes by kind of message", title_justify="left")
    table.add_column("message")
    for heading in ("a round", "the run", "as fp32", "saved by the codec"):
        table.add_column(heading, justify="right")
    ledger, exchanges = found.ledger, len(found.rounds)
    fp32 = ledger.fp32_by_kind()
    rows = {kind: (size, fp32[kind]) for kind, size in ledger.by_kind().items()}
    rows["all"] = (ledger.total(), ledger.fp32_total())
    for kind, (sent, without) in rows.items():
        cells = (bytes_text(sent / exchanges), bytes_text(sent), bytes_text(without))
        table.add_row(kind, *cells, saved_text(sent, without))
    console.print(table)
