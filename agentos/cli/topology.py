"""``agentos topology``: the figures and the picture of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    show_topology(SafeConsole(), chosen, network, picture)


def show_topology(console: Console, topology: Topology, network: Network, picture: Path) -> None:
    """Print the figures of a network and the path of its picture."""
    from rich.markup import escape
    from rich.table import Table

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
