"""``agentos init``: begin a project with a run, an exchange of one's own, and its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    "run.yaml": "run.yaml.txt",
    "study.yaml": "study.yaml.txt",
    "{module}.py": "exchange.py.txt",
    "test_{module}.py": "test_exchange.py.txt",
    "compare.ipynb": "notebook.ipynb.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
}
"""The files of a project, and the templates that they are made from."""


def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the project, and of its folder.")
    ],
) -> None:
    """Write a project that runs at once: run file, study, own exchange, tests, notebook and README.

    The folder NAME is made in the working directory.

    Example: agentos init my-society
    """
    from agentos.cli.display.console import SafeConsole

    module = module_of(name)
    folder = write_project(Path(name), module)
    console = SafeConsole()
    console.print(f"project: {folder}", soft_wrap=True, markup=False, highlight=False)
    for line in (
        f"cd {folder}",
        f"agentos run run.yaml --trust-plugins {module}        # about a minute",
        f"agentos sweep study.yaml --trust-plugins {module}    # three topologies, three seeds",
        "python -m pytest",
    ):
        console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)


def module_of(name: str) -> str:
    """Return the name of a project's module.

    Raises:
        ConfigurationError: the name cannot be one of a module, or is that of an installed one.

    Example:
        >>> module_of("my-society")
        'my_society'
    """
    import importlib.util
    import keyword
    import re

    from protocols.errors import ConfigurationError

    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", module) or keyword.iskeyword(module):
        raise ConfigurationError(
            f"{name!r} cannot name a project",
            expected="small letters, digits, - and _, a letter first",
            actual=name,
            hint="choose another name, such as my-society",
        )
    if importlib.util.find_spec(module) is not None:
        raise ConfigurationError(
            f"{name!r} cannot name a project: Python has a module {module} already",
            expected="a name that is not taken",
            actual=name,
            hint=f"choose another name, such as {name}-society",
        )
    return module


def write_project(folder: Path, module: str) -> Path:
    """Write the files of a project into a new or an empty folder, and return it.

    Raises:
        RecordError: the folder holds something, or cannot be written to.
    """
    from string import Template

    from agentos.records.atomic_files import replacing, writing
    from protocols.errors import RecordError

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        taken = sorted(path.name for path in folder.iterdir())
    if taken:
        raise RecordError(
            f"{folder} is not empty",
            expected="a new folder, or an empty one",
            actual=", ".join(taken[:5]),
            hint="choose another name, or remove the folder",
        )
    for name, template in FILES.items():
        text = Template((TEMPLATES / template).read_text(encoding="utf-8"))
        path = folder / name.format(module=module)
        with replacing(path) as draft:
            draft.write_text(text.substitute(name=folder.name, module=module), encoding="utf-8")
    return folder
