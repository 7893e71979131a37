"""``agentos topology``: the figures and the picture of a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.cli.arguments import AsJson

if TYPE_CHECKING:
    from rich.console import Console

    from protocols.topologies import Network, Topology


def topology(
    kind: Annotated[str, typer.Argument(help="Kind of topology; see agentos list.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Its parameters.")
    ] = None,
    agents: Annotated[int, typer.Option(max=100_000, help="Number of agents.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of random topologies.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Picture: .png, .svg or .pdf; default topology-KIND.png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the figures of a topology, and draw it with its roles and levels; round by round if it varies.

    Example: agentos topology layered --agents 15 branching=2
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.config.load import load_topology
    from agentos.reporting.network.draw import draw_network
    from agentos.reporting.network.rounds import MAX_AGENTS, draw_rounds, live_edges
    from agentos.reporting.pictures import save

    chosen = load_topology(kind, parameters or [])
    network = chosen.build(agents, seed)
    picture = out or Path(f"topology-{kind}.png")
    title = f"{kind}, {agents} agents"
    if network.period == 1 or agents > MAX_AGENTS:
        figure = draw_network(network, title=title)
    else:
        figure = draw_rounds(network, live_edges(network), title)
    save(figure, picture)
    found = figures_of(chosen, network, picture)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show_topology(SafeConsole(), found)


def figures_of(topology: Topology, network: Network, picture: Path) -> dict[str, Any]:
    """Return the figures of a network and the path of its picture, by name."""
    return {
        "kind": topology.kind,
        "family": network.family,
        "agents": network.agents,
        "edges": network.edge_count,
        "largest degree": network.max_degree,
        "diameter": network.diameter,
        "spectral gap": network.spectral_gap,
        "hops per round": len(network.hops(1)),
        "messages per round": sum(len(hop.edges) for hop in network.hops(1)),
        "picture": str(picture),
    }


def show_topology(console: Console, figures: dict[str, Any]) -> None:
    """Print the figures of a network."""
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, value in figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        table.add_row(name, "-" if value is None else escape(str(shown)))
    console.print(table)
