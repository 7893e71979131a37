"""The installed package: the wheel, what it depends on, and the pinned releases."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("protocols", "agents", "agentos", "experiments")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
ALONE = ("peers", "wordnet", "live", "serve", "optuna", "wandb", "mlflow", "trackio")
"""Extras whose packages are imported in one place alone, which says what to install where it is missing."""
ELSEWHERE = {"avalanche", "flwr", "pytest"}
"""Imported by scripts that run in environments of their own, and by mutants, which run tests."""
PART_OF = {"pydantic_core": "pydantic"}
"""Modules that another distribution brings and re-exports: their release is that one's affair."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy: a build in place would leave files, and find those of earlier ones."""
    try:
        release = metadata.version("setuptools")
    except metadata.PackageNotFoundError:
        pytest.skip("setuptools is not installed")
    if int(release.split(".")[0]) < 77:
        pytest.skip(f"setuptools {release} cannot read the licence; 77 or newer is needed")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", BUILD, str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_holds_every_file_of_the_four_packages_and_nothing_else(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    assert found == expected


def test_wheel_marks_its_packages_as_typed(wheel: Path) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names(wheel))


def test_wheel_names_the_distribution_and_its_licence(wheel: Path) -> None:
    about = metadata_of(wheel)
    assert about["Name"] == "llm-agentos"
    assert about["License-Expression"] == "Apache-2.0"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names(wheel))


def test_wheel_alone_validates_the_quickstart(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    command = [sys.executable, "-m", "agentos.cli", "validate", "quickstart"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


def test_every_imported_distribution_is_declared(wheel: Path) -> None:
    declared = {canonical(requirement) for requirement in required(wheel)}
    declared |= {canonical(requirement) for requirement in required(wheel, *ALONE)}
    providers = metadata.packages_distributions()
    for module in imported() - ELSEWHERE:
        distributions = {canonical(name) for name in providers.get(module, [module])}
        assert distributions & declared, f"{module} is imported, and not in pyproject.toml"


def test_every_declared_dependency_is_pinned(wheel: Path) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonical(line) for line in lines if re.match(r"[\w.-]+==\S+", line)}
    assert {canonical(name) for name in metadata_of(wheel).get_all("Requires-Dist", [])} <= pinned


@pytest.mark.parametrize(("name", "extras"), [("run", ()), ("test", ("test",))])
def test_every_file_that_make_installs_has_a_hash(
    name: str, extras: tuple[str, ...], wheel: Path
) -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    entries = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8").split("\n", 1)[1]
    locked = [entry.split(" \\\n    ") for entry in re.split(r"\n(?=\S)", entries.strip())]
    assert {pin for pin, *_ in locked} <= set(pins)
    assert all(
        re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for _, *own in locked for each in own
    )
    assert all(own for _, *own in locked)
    needed = {canonical(each) for each in required(wheel)}
    needed |= {canonical(each) for each in required(wheel, *extras)} if extras else set()
    assert needed - {"torch", "llm-agentos"} <= {canonical(pin) for pin, *_ in locked}


def required(wheel: Path, *extras: str) -> list[str]:
    """Requirements without those of extras, or those of some extras."""
    found = metadata_of(wheel).get_all("Requires-Dist", [])
    if extras:
        return [name for name in found if any(f'extra == "{extra}"' in name for extra in extras)]
    return [requirement for requirement in found if "extra ==" not in requirement]


def canonical(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def imported() -> set[str]:
    """Top-level modules from elsewhere that any file of the packages imports, at any depth."""
    roots = {
        PART_OF.get(module, module)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for module in imports_of(ast.parse(path.read_text(encoding="utf-8")))
    }
    return roots - set(PACKAGES) - set(sys.stdlib_module_names)


def imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
