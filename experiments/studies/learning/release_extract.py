"""Extract from releases of a library which default of each parameter docstrings state, and which one holds.

    pip download --no-deps --only-binary=:all: --dest wheels scikit-learn==1.7.2    # and others
    python -m experiments.studies.learning.release_extract wheels sklearn

Wheels are read as archives and parsed with `ast`; nothing in them is imported or run.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

EXTRACT = Path(__file__).with_name("sklearn_defaults.csv")
COLUMNS = ("symbol", "parameter", "first", "last", "signature", "documented", "text")
_SKIPPED = re.compile(r"/(tests?|externals|_build_utils|datasets/data)/|/_?test")
_RULE = re.compile(r"\s*-{3,}\s*$")
_VALUE = r"""('[^']*'|"[^"]*"|[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[A-Za-z_][\w.]*|\([^()]*\)|\[[^\]]*\])"""
_STATED = re.compile(
    rf"\bdefaults?\b(?:[ \t]+value)?[ \t]*(?:=|:|is|to)?[ \t]*[`*]*{_VALUE}|{_VALUE}[`*]*[ \t]+by default",
    re.I,
)
_NO_VALUES = frozenset(
    {"is", "to", "value", "the", "a", "an", "will", "if", "and", "of", "by", "in", "set"}
)


class Stated(NamedTuple):
    """A default in one release: of the signature, of the docstring, and a digest of what it rests on."""

    signature: str
    documented: str
    text: str


Place = tuple[str, str]
Release = Mapping[Place, Stated]


def releases(folder: Path, package: str) -> dict[str, Release]:
    """Read every wheel of a folder, oldest release first."""
    wheels = {path.name.split("-")[1]: path for path in folder.glob("*.whl")}
    return {name: read_wheel(wheels[name], package) for name in sorted(wheels, key=release_order)}


def release_order(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, by which releases sort."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def read_wheel(path: Path, package: str) -> Release:
    """Return the defaults of every public class and function whose name is there once."""
    found: dict[Place, Stated] = {}
    seen: set[str] = set()
    twice: set[str] = set()
    with zipfile.ZipFile(path) as wheel:
        names = (name for name in sorted(wheel.namelist()) if name.startswith(f"{package}/"))
        for name in names:
            if not name.endswith(".py") or _SKIPPED.search(name):
                continue
            for symbol, defaults in _module(wheel.read(name)):
                twice |= {symbol} & seen
                seen.add(symbol)
                found.update({(symbol, key): value for key, value in defaults.items()})
    return {place: stated for place, stated in found.items() if place[0] not in twice}


def _module(source: bytes) -> Iterator[tuple[str, dict[str, Stated]]]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # of a Python that is no more
        return
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        function = node if isinstance(node, ast.FunctionDef) else _initialiser(node)
        entries = parameter_entries(ast.get_docstring(node) or "")
        if function is not None and entries:
            yield node.name, _defaults(function, entries)


def _initialiser(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next(
        (e for e in node.body if isinstance(e, ast.FunctionDef) and e.name == "__init__"), None
    )


def _defaults(function: ast.FunctionDef, entries: Mapping[str, str]) -> dict[str, Stated]:
    given = function.args
    pairs: list[tuple[ast.arg, ast.expr | None]] = list(
        zip(given.args[len(given.args) - len(given.defaults) :], given.defaults, strict=True)
    )
    pairs += list(zip(given.kwonlyargs, given.kw_defaults, strict=True))
    return {
        name.arg: Stated(
            canonical(ast.unparse(value)),
            documented(entries[name.arg]),
            hashlib.blake2b(entries[name.arg].encode(), digest_size=4).hexdigest(),
        )
        for name, value in pairs
        if value is not None and name.arg in entries
    }


def parameter_entries(docstring: str) -> dict[str, str]:
    """Return the text of each parameter of a docstring in NumPy's style, by name."""
    lines = docstring.splitlines()
    starts = [i for i, line in enumerate(lines[1:], 1) if _RULE.match(line)]
    begin = next((i for i in starts if lines[i - 1].strip() == "Parameters"), None)
    if begin is None:
        return {}
    end = next((i - 1 for i in starts if i > begin), len(lines))
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in lines[begin + 1 : end]:
        if line and not line[0].isspace():
            names = [name.strip(" *") for name in line.partition(":")[0].split(",")]
        for name in names:
            entries[name] = f"{entries[name]}\n{line}" if name in entries else line
    return entries


def documented(entry: str) -> str:
    """Return the default that the text of a parameter states; empty if none."""
    for match in _STATED.finditer(entry):
        value = match[1] or match[2]
        if value.strip(".").lower() not in _NO_VALUES:
            return canonical(value)
    return ""


def canonical(value: str) -> str:
    """Return one spelling of a value: numbers as floats, strings without quotes."""
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value.rstrip(".")
    if isinstance(literal, int | float) and not isinstance(literal, bool):
        return repr(float(literal))
    return str(literal)


def rows_of(found: Mapping[str, Release]) -> Iterator[tuple[str, ...]]:
    """Yield a row for every span of releases in which nothing about a parameter changed.

    Parameters that the last release has no more, or whose default no docstring states, are left out.
    """
    versions = list(found)
    for place in sorted(found[versions[-1]]):
        history = [found[version].get(place) for version in versions]
        if not any(stated and stated.documented for stated in history):
            continue
        for first, last in _spans(history):
            stated = history[first]
            if stated is not None:
                yield (*place, versions[first], versions[last], *stated)


def _spans(history: Sequence[Stated | None]) -> Iterator[tuple[int, int]]:
    first = 0
    for place in range(1, len(history) + 1):
        if place == len(history) or history[place] != history[first]:
            yield first, place - 1
            first = place


def main(
    wheels: Annotated[Path, typer.Argument(help="Folder of wheels of one library.")],
    package: Annotated[str, typer.Argument(help="Its top-level package.")],
    out: Annotated[Path, typer.Option(help="The extract.")] = EXTRACT,
) -> None:
    """Read wheels, and write the extract."""
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows_of(releases(wheels, package)))
    typer.echo(str(out))


if __name__ == "__main__":
    typer.run(main)
