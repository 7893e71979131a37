"""The plan of the house holds: small rooms, names that stand once, a marked public surface.

Layers and circles are checked by import-linter (see `pyproject.toml`).
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocols", "agents", "agentos", "experiments")
LARGEST_ROOM = 15
LARGEST_PACKAGE = 16
"""Entries of `agentos/` itself, which holds the rooms of a society and its entry points."""
TABLES_OF_KINDS = {"agents/exchange/anchors", "agents/objectives", "agentos/evaluation"}
"""Rooms with one file for every kind: they grow with the kinds."""
SHARED_STEMS = {"__init__", "__main__", "base", "config", "types", "registry"}
KNOW_RUN_CONFIG = {
    "config",
    "sweep",
    "learning",
    "cli",
    "simulation",
    "__init__.py",
}
"""Entries of `agentos/` that may know the whole configuration of a run."""
IMPORTED_WHERE_USED = {"agentos/cli"}
"""Rooms that import our own modules inside functions, so that `--help` answers at once."""

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ROOMS = sorted({path.parent for path in SOURCES})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_room_is_small_enough_to_be_taken_in_at_a_glance(room: Path) -> None:
    markers = {"__init__.py", "py.typed", "__pycache__"}
    entries = [path.name for path in room.iterdir() if path.name not in markers]
    most = LARGEST_PACKAGE if name_of(room) == "agentos" else LARGEST_ROOM
    assert len(entries) <= most or name_of(room) in TABLES_OF_KINDS, sorted(entries)


def test_no_name_of_a_module_stands_twice() -> None:
    stems = Counter(path.stem for path in SOURCES if path.stem not in SHARED_STEMS)
    assert [stem for stem, count in stems.items() if count > 1] == []


def test_tests_mirror_the_rooms() -> None:
    mirrored = {*PACKAGES, *(name_of(room) for room in ROOMS)}
    apart = {"tests", "tests/contracts", "tests/integration"}
    rooms = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    homeless = [name_of(room) for room in rooms if name_of(room) not in apart]
    assert [room for room in homeless if room.removeprefix("tests/") not in mirrored] == []


def test_few_modules_know_the_whole_configuration() -> None:
    knowing = {
        path.relative_to(ROOT / "agentos").parts[0]
        for path in (ROOT / "agentos").rglob("*.py")
        if re.search(r"\bRunConfig\b", path.read_text("utf-8"))
    }
    assert knowing <= KNOW_RUN_CONFIG


def test_own_modules_are_imported_at_the_top() -> None:
    inside = [
        f"{name_of(path)}:{line}"
        for path in SOURCES
        if not any(name_of(path).startswith(room) for room in IMPORTED_WHERE_USED)
        for line in _imports_inside_functions(path)
    ]
    assert inside == []


def _imports_inside_functions(path: Path) -> Iterator[int]:
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                names = (
                    [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else []
                )
                if any(name.split(".")[0] in PACKAGES for name in names):
                    yield node.lineno


def packages() -> list[str]:
    return [name_of(path.parent).replace("/", ".") for path in SOURCES if path.stem == "__init__"]


@pytest.mark.parametrize("package", packages())
def test_package_marks_what_is_public_and_documents_it(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__, "a package says what its room holds"
    exported = getattr(module, "__all__", None)
    assert exported is not None, "__all__ marks what is public; an empty one is an answer, too"
    for name in exported:
        value = getattr(module, name)
        documented = not callable(value) or bool(getattr(value, "__doc__", None))
        assert documented, f"{package}.{name} is public and has no docstring"


def test_public_surface_is_the_one_that_was_agreed_on() -> None:
    found = {
        f"{package}.{name}"
        for package in packages()
        for name in getattr(importlib.import_module(package), "__all__", ())
    }
    agreed = set((Path(__file__).parent / "public_surface.txt").read_text("utf-8").split())
    assert found == agreed, sorted(found ^ agreed)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
@pytest.mark.parametrize("package", ["protocols", "agents", "agentos"])
def test_layout_on_a_page_is_in_the_order_of_imports(page: str, package: str) -> None:
    contracts = (ROOT / "pyproject.toml").read_text("utf-8")
    (layers,) = re.findall(rf'containers = \["{package}"\]\nlayers = \[(.*?)\]', contracts, re.S)
    above_first = re.findall(r"\w+", layers)[::-1]
    text = (ROOT / page).read_text("utf-8")
    (layout,) = re.findall(r"^```\n(protocols.*?)^```", text, re.M | re.S)
    (part,) = re.findall(rf"^{package}\b[^\n]*\n(.*?)(?=^\w|\Z)", layout, re.M | re.S)
    named = [
        room
        for line in re.findall(r"^(?:[├└]── |  )(\w.*)$", part, re.M)
        for room in re.findall(
            r"\b[a-z]+\b(?=/| {2,}|$)", re.split(r"(?<=\S) {3,}", line)[0] + "  "
        )
    ]
    order = [room for room in above_first if room in named]
    assert len(order) > len(above_first) / 3
    assert [room for room in named if room in order] == order
