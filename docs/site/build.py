"""Builds the site: ``python docs/site/build.py``, into ``build/site``; ``--serve`` shows it meanwhile.

The pages are those of the repository. Two are generated: the fields of every kind, from the specifications,
and the Python reference, from what each package lists in ``__all__``.
"""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from agentos.cli.display.kinds import extension_points
from protocols.spec import Spec

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE = ROOT / "build" / "site-source"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "experiments/results")
PACKAGES = ("protocols", "agents", "agentos")


def build(serve: bool = False) -> int:
    """Copy and generate the pages, then build the site; return the exit status of MkDocs."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for name in PAGES:
        copy(ROOT / name, SOURCE / name)
    reference = SOURCE / "docs" / "reference"
    (reference / "kinds.md").write_text(kinds_page(), encoding="utf-8")
    (reference / "python.md").write_text(python_index(), encoding="utf-8")
    for package in public_packages():
        page = reference / "python" / f"{package}.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(package_page(package), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", *(("serve",) if serve else ("build", "--strict"))]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [*command, "-f", str(HERE / "mkdocs.yml")], cwd=ROOT, env=quiet
    ).returncode


def copy(origin: Path, target: Path) -> None:
    """Copy a page, or a folder of pages and pictures."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("site", "*.py", "*.csv"))
    else:
        shutil.copyfile(origin, target)


def kinds_page() -> str:
    """Return a section for each extension point, with each kind's help and fields."""
    parts = [
        "# Every kind and its fields\n",
        "Generated from the specifications. In a file, `kind` names one; `agentos list` prints them.\n",
    ]
    for point, kinds in extension_points().items():
        parts.append(f"## `{point}`\n")
        parts += [kind_section(kind, cls) for kind, cls in kinds.items()]
    return "\n".join(parts)


def kind_section(kind: str, cls: type[Spec]) -> str:
    """Return a kind's docstring and a table of its fields."""
    text = (
        inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")
    )
    rows = [
        f"| `{name}` | {default_of(field)} | {cell(field.description or '')} |"
        for name, field in cls.model_fields.items()
        if name != "kind"
    ]
    table = ["| field | default | what it is |", "| --- | --- | --- |", *rows] if rows else []
    return "\n".join([f"### {kind}\n", text, "", *table, ""])


def default_of(field: FieldInfo) -> str:
    """Return a field's default as it stands in a file."""
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    if isinstance(default, Spec):
        return f"`{getattr(default, 'kind', type(default).__name__)}`"
    return f"`{cell(str(default))}`"


def cell(text: str) -> str:
    """Return a text that can stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def public_packages() -> list[str]:
    """Return the packages that mark something as public."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("__init__.py")):
            name = ".".join(path.parent.relative_to(ROOT).parts)
            if getattr(importlib.import_module(name), "__all__", ()):
                found.append(name)
    return found


def python_index() -> str:
    """Return the list of public packages."""
    lines = [
        f"| [`{name}`](python/{name}.md) | {first_line(importlib.import_module(name))} |"
        for name in public_packages()
    ]
    return "\n".join(
        [
            "# Python reference\n",
            "What a package lists in `__all__` is public and stable; everything else may change.\n",
            "| package | what it holds |",
            "| --- | --- |",
            *lines,
            "",
        ]
    )


def package_page(name: str) -> str:
    """Return the page of a package: each public name, documented where it is defined."""
    module = importlib.import_module(name)
    parts = [f"# `{name}`\n", first_line(module), ""]
    for exported in sorted(module.__all__):
        value = getattr(module, exported)
        where = getattr(value, "__module__", None) or ""
        parts.append(f"## {exported} {{ #{name}.{exported} }}\n")
        if where.split(".")[0] in PACKAGES and hasattr(value, "__qualname__"):
            parts.append(
                f"::: {where}.{value.__qualname__}\n    options:\n      heading_level: 3\n"
            )
        else:
            parts.append(f"A table or a value of type `{type(value).__name__}`.\n")
    return "\n".join(parts)


def first_line(module: Any) -> str:
    """Return the first line of a docstring."""
    return cell((module.__doc__ or "").strip().split("\n\n")[0])


if __name__ == "__main__":
    raise SystemExit(build("--serve" in sys.argv))
