"""The test files that may notice a change of a file: its mirror, those beside it, those that import it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("protocols", "agents", "agentos")
EXAMPLES = "tests/integration/test_doc_examples.py::test_examples_in_docstrings_run"
"""The test of the examples in a module's docstrings."""


@cache
def _importers() -> dict[str, list[str]]:
    """Return the files that import each file of the program or of its tests."""
    importers: dict[str, list[str]] = {}
    for folder in (*PACKAGES, "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in sorted(_imports(path)):
                importers.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    return importers


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        for module in modules:
            if module.split(".")[0] in (*PACKAGES, "tests"):
                name = module.replace(".", "/")
                yield f"{name}/__init__.py" if (ROOT / name).is_dir() else f"{name}.py"


@cache
def suites_of(path: str) -> tuple[list[str], list[str]]:
    """Return the tests that mirror a file, its examples among them, and other test files.

    The most likely to notice its changes come first: the tests of its room, then those that import its
    module, directly or by way of few others; contracts of kinds before the rest, and commands last.
    """
    room = ROOT / "tests" / Path(path).parent
    named = [
        [test.relative_to(ROOT).as_posix() for test in sorted(room.glob(pattern))]
        for pattern in (f"test_{Path(path).stem}*.py", "test_*.py")
    ]
    mirrored, others = named[0], dict.fromkeys(named[1])
    if re.search(r"^\s*>>> ", (ROOT / path).read_text("utf-8"), re.MULTILINE):
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        mirrored.append(f"{EXAMPLES}[{module}]")
    reached, importers = {path}, [path]
    while importers:
        importers = list(
            dict.fromkeys(
                each
                for name in importers
                for each in _importers().get(name, ())
                if each not in reached
            )
        )
        reached.update(importers)
        importers.sort(
            key=lambda each: ("/cli/" in each, "/contracts/" not in each, -_shared(each, path))
        )
        others.update(dict.fromkeys(e for e in importers if Path(e).name.startswith("test_")))
    return mirrored, [each for each in others if each not in mirrored]


def _shared(test: str, path: str) -> int:
    return len(os.path.commonpath([test, f"tests/{path}"]))
