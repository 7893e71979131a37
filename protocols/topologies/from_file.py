"""Peers over a graph that is read from a file."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import unicodedata
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
MAX_BYTES = 1 << 26
MAX_DIGITS = 19
HEADERS = frozenset(
    map(
        frozenset,
        (
            ("source", "target"),
            ("from", "to"),
            ("sender", "receiver"),
            ("src", "dst"),
            ("node1", "node2"),
        ),
    )
)
"""Names of columns; two agents of these names are unlikely."""

_COMMENT = re.compile(r"(?:^|\s)#.*")
_WEIGHTS = re.compile(r"(?:[-+.\deE]+|nan|inf)(?:\s+[-+.\deE]+)*|\{.*\}", re.IGNORECASE)


@final
class FromFile(Topology):
    """Peers over a graph read from an edge list (two names a line) or a GraphML file, in UTF-8.

    Nodes become agents 0..N-1 in the order of their names: of the numbers, if all names are
    whole numbers, of the text otherwise. Edges carry both ways, directed or not. Columns of an edge
    list after the second and attributes in GraphML are ignored: mixing weights follow from the
    degrees. Names with spaces need commas or tabs between them; a header is refused, and so is a file
    of more than 64 MiB.
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
            content = self._content()
            if suffix in GRAPHML:
                return self._read_graphml(content)
            return self._read_edge_list(content.decode("utf-8-sig"), suffix)
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable("not readable", "a text file in UTF-8", str(error)) from error

    def _content(self) -> bytes:
        # A pipe without a writer would block.
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._unusable("not readable", "a file on a disk", "a pipe or a device")
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise self._unusable("too large", f"at most {MAX_BYTES:,} bytes", "more")
        return content

    def _read_graphml(self, content: bytes) -> nx.Graph:
        import networkx as nx

        try:
            return nx.Graph(nx.read_graphml(io.BytesIO(content), node_type=str))
        except (ParseError, nx.NetworkXException, KeyError, ValueError, RecursionError) as error:
            raise self._unusable("not GraphML", "well-formed GraphML", str(error)) from error

    def _read_edge_list(self, text: str, suffix: str) -> nx.Graph:
        import networkx as nx

        graph = nx.Graph()
        for number, line in enumerate(text.split("\n"), start=1):
            names = edge_of(line, {".csv": ",", ".tsv": "\t"}.get(suffix))
            if isinstance(names, str):
                raise self._unusable("not an edge list", names, f"line {number}: {line[:60]!r}")
            if names and not graph and frozenset(map(str.lower, names)) in HEADERS:
                raise self._unusable(
                    "not an edge list", "an edge, not a header", f"line {number}: {line[:60]!r}"
                )
            if names:
                graph.add_edge(*names)
        self._check_names([*graph.nodes])
        return graph

    def _check_names(self, names: list[str]) -> None:
        """Refuse names that differ and mean the same: 1 and 01, or one letter in two encodings."""
        seen: dict[str, str] = {}
        for name in names:
            same = str(int(name)) if _is_whole(name) else unicodedata.normalize("NFC", name)
            if seen.setdefault(same, name) != name:
                raise self._unusable(
                    "ambiguous", "one spelling of each name", f"{seen[same]!a} and {name!a}"
                )

    def _unusable(self, what: str, expected: str, actual: str | None = None) -> TopologyError:
        return TopologyError(
            f"the topology file {self.path} is {what}",
            expected=expected,
            actual=actual or self.path.name,
            hint="check topology.path; each line of an edge list looks like: 0 1",
        )


def edge_of(line: str, separator: str | None) -> tuple[str, str] | str | None:
    """Return the two names in a line of an edge list, None for an empty one, or what was expected.

    Args:
        line: of the file; a comment begins with ``#``, or in its first column with ``%``.
        separator: between columns. If None, a comma or tab where the line holds one, else white space;
            names then hold no space, and further columns are numbers or ``{attributes}``.

    Example:
        >>> edge_of("node 0, node 1", None), edge_of("a b 0.5  # near", None), edge_of("# a b", None)
        (('node 0', 'node 1'), ('a', 'b'), None)
        >>> edge_of("node 0 node 1", None)
        'two names without spaces, or a comma between them'
    """
    if line.startswith("%") or "\0" in line:
        return "text without NUL" if "\0" in line else None
    line = _COMMENT.sub("", line).strip()
    if not line:
        return None
    separator = separator or next((mark for mark in ",\t" if mark in line), None)
    if separator is None:
        first, *others = line.split(None, 2)
        if len(others) == 2 and not _WEIGHTS.fullmatch(others[1]):
            return "two names without spaces, or a comma between them"
        return (first, others[0]) if others else "two names a line"
    try:
        (fields,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return "two names a line, quotes closed"
    names = [field.strip() for field in fields[:2]]
    if len(names) < 2 or not all(names):
        return f"two names a line with {separator!r} between them"
    return names[0], names[1]


def _is_whole(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < MAX_DIGITS
