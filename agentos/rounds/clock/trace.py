"""Files of measured speeds, latencies and bandwidths; mistakes in them are reported with their lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentos.data.sources.csv_rows import csv_rows
from agentos.data.sources.opening import DAMAGED, ending, open_bytes
from agentos.data.sources.record import MAX_RECORD_BYTES, repeated
from agentos.data.yaml_text import require_bounded
from protocols.errors import DataError

Key = tuple[int, ...]
Row = tuple[int, Mapping[str, str]]
"""A row: the number of its line, and the text in each of its fields."""

_MOST_VALUES = 10_000_000

AGENT, EDGE = ("agent",), ("sender", "receiver")


def read_trace(
    path: Path, keys: Sequence[Key], column: str, above_zero: bool = True
) -> dict[Key, float]:
    """Read a number for every key.

    Args:
        path: a ``.csv``, ``.tsv``, ``.json``, ``.yaml`` or ``.yml`` file, also compressed.
        keys: ``(agent,)``, or ``(sender, receiver)`` for both directions of every edge.
        column: the field that holds the number.
        above_zero: whether 0 is refused.

    Raises:
        DataError: it cannot be read; a row is none of these keys, repeats one, or lacks a number; or there is
            no row for a key.
    """
    names = EDGE if keys and len(keys[0]) == 2 else AGENT
    known, found = set(keys), dict[Key, float]()
    for line, row in _rows(path):
        key = tuple(_agent(path, line, row, name) for name in names)
        if key not in known:
            what = "an edge of the topology" if names == EDGE else f"below {len(known)}"
            raise _bad(path, line, what, " to ".join(map(str, key)))
        if key in found:
            raise _bad(path, line, "each key once", f"{' to '.join(map(str, key))} again")
        found[key] = _number(path, line, row, column, above_zero)
    both = {key: found.get(key, found.get(key[::-1])) for key in keys}
    missing = [" to ".join(map(str, key)) for key, value in both.items() if value is None]
    if missing:
        raise DataError(
            f"the trace {path} has no {column} of some {'edges' if names == EDGE else 'agents'}",
            expected=f"a row for each of {len(keys)}",
            actual=f"none for {', '.join(missing[:5])}{', ...' * (len(missing) > 5)}",
            hint="add rows, or use a distribution",
        )
    return {key: value for key, value in both.items() if value is not None}


def _rows(path: Path) -> Iterator[Row]:
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {".csv": _csv_rows, ".tsv": _csv_rows}
    readers |= dict.fromkeys((".json", ".yaml", ".yml"), _yaml_rows)
    reader = readers.get(ending(path))
    if reader is None:
        raise DataError(
            f"the trace {path} is of no known kind",
            expected=f"a file that ends in {', '.join(readers)}",
            actual=path.name,
            hint="rename the file, or write it as CSV",
        )
    try:
        yield from reader(path)
    except (*DAMAGED, UnicodeDecodeError) as error:
        raise DataError(
            f"the trace {path} cannot be read",
            expected="a text file, whole",
            actual=str(error),
            hint="check the file that the section clock names",
        ) from error


def _csv_rows(path: Path) -> Iterator[Row]:
    for line, row in csv_rows(path, ()):
        if isinstance(row, DataError):
            raise row
        yield line, {name.strip(): text.strip() for name, text in row.items()}


def _yaml_rows(path: Path) -> Iterator[Row]:
    """Read a list of mappings; JSON is YAML, and only YAML's parser tells where a node is."""
    import yaml

    with open_bytes(path) as stream:
        text = stream.read(MAX_RECORD_BYTES + 1).decode("utf-8-sig")
    if len(text) > MAX_RECORD_BYTES:
        raise _bad(
            path, 1, f"at most {MAX_RECORD_BYTES:,} bytes of YAML; CSV may be longer", "more"
        )
    try:
        require_bounded(text, _MOST_VALUES)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise _bad(path, line, "JSON or YAML", str(getattr(error, "problem", error))) from error
    except RecursionError as error:
        raise _bad(path, 1, "a list of rows", "a structure nested too deeply") from error
    if not isinstance(root, yaml.SequenceNode):
        raise _bad(path, 1, "a list of rows", root.tag if root else "nothing")
    for node in root.value:
        line = node.start_mark.line + 1
        pairs = node.value if isinstance(node, yaml.MappingNode) else None
        if pairs is None or not all(isinstance(part.value, str) for pair in pairs for part in pair):
            raise _bad(path, line, "a mapping of names to numbers", node.tag)
        twice = repeated(name.value for name, _ in pairs)
        if twice is not None:
            raise _bad(path, line, "each name once", f"{twice} again")
        yield line, {name.value: value.value for name, value in pairs}


def _agent(path: Path, line: int, row: Mapping[str, str], name: str) -> int:
    text = row.get(name, "").strip().removeprefix("agent-")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _bad(path, line, f"the number of an agent under {name}", row.get(name, "nothing"))
    return int(text)


def _number(path: Path, line: int, row: Mapping[str, str], column: str, above_zero: bool) -> float:
    text = row.get(column, "nothing")
    try:
        value = float(text if text.isascii() and "_" not in text else "nan")
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0.0 or (above_zero and value == 0.0):
        least = "above 0" if above_zero else "from 0"
        raise _bad(path, line, f"a number {least} under {column}", text)
    return value


def _bad(path: Path, line: int, expected: str, actual: str) -> DataError:
    return DataError(
        f"{path}, line {line}: not a row of a trace",
        expected=expected,
        actual=repr(actual[:60]),
        hint="a row looks like: agent, number; or: sender, receiver, number",
    )
