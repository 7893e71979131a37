"""The examples in the docstrings of the room run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from agentos import learning

MODULES = sorted(m.name for m in pkgutil.walk_packages(learning.__path__, "agentos.learning."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module, name):
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0, test.name
