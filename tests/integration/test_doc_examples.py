"""The examples in the docstrings of all packages run."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("protocols", "agents", "agentos", "experiments")
    for path in sorted((ROOT / package).rglob("*.py"))
    if re.search(r"^\s*>>> ", path.read_text("utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    found = [each for each in doctest.DocTestFinder().find(module, name) if each.examples]
    assert found
    for test in found:
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0, test.name
