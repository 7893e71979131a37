"""What the command line says about errors, kinds and topologies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.config.field_errors import InvalidConfiguration
from agentos.config.load import ready_made
from protocols.errors import AgentOSError
from protocols.spec import Spec
from protocols.topologies import Network, Topology


def show_error(console: Console, error: AgentOSError) -> None:
    """Print an error: what is wrong, what was given, what is allowed, and the hint."""
    if isinstance(error, InvalidConfiguration):
        console.print(f"[red]invalid configuration[/] {escape(error.origin)}")
        for problem in error.problems:
            console.print(
                f"  [bold]{escape(problem.path)}[/]: {escape(problem.message)}",
                highlight=False,
                soft_wrap=True,
            )
            details = {
                "given": problem.given,
                "allowed": problem.allowed,
                "did you mean": problem.closest,
            }
            for label, text in details.items():
                if text:
                    console.print(f"    {label}: {escape(text)}", highlight=False, soft_wrap=True)
        return
    console.print(f"[red]error[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    details = {"expected": error.expected, "given": error.actual, "hint": error.hint}
    for label, text in details.items():
        if text:
            console.print(f"  {label}: {escape(text)}", highlight=False, soft_wrap=True)


def show_kinds(console: Console) -> None:
    """Print every kind of every extension point with a line of help."""
    from agentos.data.partition import PARTITIONS
    from agentos.data.sources import SOURCES
    from agentos.evaluation import TASKS
    from agentos.rounds.clock.config import MODES
    from agentos.rounds.clock.distributions import QUANTITIES
    from agentos.rounds.faults import FAULTS
    from agentos.runtime import RUNTIMES
    from agents.config import PRESETS
    from agents.exchange import EXCHANGES
    from agents.exchange.anchors.label_fusion import FUSIONS
    from agents.exchange.trust import TRUST
    from agents.objectives import OBJECTIVES
    from agents.views import VIEWS
    from protocols.codecs import CODECS
    from protocols.topologies import TOPOLOGIES

    tables: dict[str, Mapping[str, type[Spec]]] = {
        "data.source": SOURCES,
        "data.partition": PARTITIONS,
        "topology": TOPOLOGIES,
        "objectives": OBJECTIVES,
        "objectives.views": VIEWS,
        "exchange": EXCHANGES,
        "exchange.codec": CODECS,
        "exchange.fusion": FUSIONS,
        "exchange.trust": TRUST,
        "evaluation.tasks": TASKS,
        "runtime": RUNTIMES,
        "clock.mode": MODES,
        "clock.speed, latency_s, bytes_per_s": QUANTITIES,
        "faults": FAULTS,
    }
    for point, kinds in tables.items():
        _print_kinds(console, point, {kind: _help(cls) for kind, cls in kinds.items()})
    presets = {
        name: f"{'GPT-2' if s.decoder else 'BERT'}, {s.layers} layers x {s.width}"
        for name, s in PRESETS.items()
    }
    _print_kinds(console, "agents.encoder.preset", presets)
    runs = {name: _first_comment(path) for name, path in ready_made().items()}
    _print_kinds(console, "ready-made runs", runs)


def _print_kinds(console: Console, title: str, lines: Mapping[str, str]) -> None:
    console.print(f"[bold]{title}[/]")
    table = Table.grid(padding=(0, 2))
    for kind, text in lines.items():
        table.add_row(f"  [cyan]{kind}[/]", escape(text))
    console.print(table)


def _help(cls: type[Spec]) -> str:
    """First line of a class's docstring, and its parameters."""
    names = [name for name in cls.model_fields if name != "kind"]
    line = (cls.__doc__ or "").strip().split("\n")[0]
    return line + (f" ({', '.join(names)})" if names else "")


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def show_topology(console: Console, topology: Topology, network: Network, picture: Path) -> None:
    """Print a network's figures and where its picture lies."""
    gap, diameter = network.spectral_gap, network.diameter
    sent = sum(len(hop.edges) for hop in network.hops(1))
    figures = {
        "kind": topology.kind,
        "family": network.family,
        "agents": str(network.agents),
        "edges": str(network.edge_count),
        "largest degree": str(network.max_degree),
        "diameter": "-" if diameter is None else str(diameter),
        "spectral gap": "-" if gap is None else f"{gap:.4f}",
        "hops per round": str(len(network.hops(1))),
        "messages per round": str(sent),
        "picture": str(picture),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in figures.items():
        table.add_row(name, escape(value))
    console.print(table)
