"""Peers over a graph that is read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, final
from xml.etree.ElementTree import ParseError

from pydantic import Field

from protocols.errors import TopologyError
from protocols.topologies.base import Topology
from protocols.topologies.peer import PeerNetwork

if TYPE_CHECKING:
    import networkx as nx

GRAPHML = (".graphml", ".xml")
EDGE_LISTS = (".edgelist", ".edges", ".txt", ".csv", ".tsv")


@final
class FromFile(Topology):
    """Peers over a graph read from an edge list (two names a line) or a GraphML file.

    Nodes become agents 0..N-1 in the order of their names: of the numbers, if all names are
    whole numbers, of the text otherwise. Edges carry both ways, directed or not. Columns of an edge
    list after the second and attributes in GraphML are ignored: mixing weights follow from the
    degrees.
    """

    kind: Literal["from_file"] = "from_file"
    path: Path = Field(
        description=f"edge list ({', '.join(EDGE_LISTS)}) or GraphML ({', '.join(GRAPHML)})"
    )

    def _network(self, agents: int, seed: int) -> PeerNetwork:
        import networkx as nx

        graph = self._read()
        names = sorted(graph.nodes, key=str)
        if all(_is_whole(name) for name in names):
            names.sort(key=int)
        if len(names) != agents:
            raise TopologyError(
                f"{self.path} is a graph of another size",
                expected=f"{agents} nodes, one for each agent",
                actual=f"{len(names)} nodes: {', '.join(names[:5])}{', ...' * (len(names) > 5)}",
                hint=f"run {len(names)} agents, or change the file",
            )
        return PeerNetwork.of(
            nx.relabel_nodes(graph, {name: agent for agent, name in enumerate(names)}), "free"
        )

    def _read(self) -> nx.Graph:
        suffix = self.path.suffix.lower()
        if suffix not in GRAPHML + EDGE_LISTS:
            raise self._unusable(
                "of an unknown kind", f"a file ending in {', '.join(EDGE_LISTS + GRAPHML)}"
            )
        try:
            return self._read_graphml() if suffix in GRAPHML else self._read_edge_list()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable("not readable", "a text file", str(error)) from error

    def _read_graphml(self) -> nx.Graph:
        import networkx as nx

        with self.path.open("rb") as file:
            try:
                return nx.Graph(nx.read_graphml(file, node_type=str))
            except (ParseError, nx.NetworkXException, KeyError, ValueError) as error:
                raise self._unusable("not GraphML", "well-formed GraphML", str(error)) from error

    def _read_edge_list(self) -> nx.Graph:
        import networkx as nx

        graph = nx.Graph()
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            names = line.split("#", 1)[0].replace(",", " ").split()
            if len(names) == 1 or "\0" in line:
                raise self._unusable(
                    "not an edge list", "two names a line", f"line {number}: {line[:60]!r}"
                )
            if names:
                graph.add_edge(names[0], names[1])
        return graph

    def _unusable(self, what: str, expected: str, actual: str | None = None) -> TopologyError:
        return TopologyError(
            f"the topology file {self.path} is {what}",
            expected=expected,
            actual=actual or self.path.name,
            hint="check topology.path; each line of an edge list looks like: 0 1",
        )


def _is_whole(name: str) -> bool:
    return name.isascii() and name.isdigit()
