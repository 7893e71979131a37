"""The examples in the docstrings of the package run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import agents

MODULES = sorted(m.name for m in pkgutil.walk_packages(agents.__path__, "agents."))


def found(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [test for test in doctest.DocTestFinder().find(module, name) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    for test in found(name):
        result = doctest.DocTestRunner(verbose=False).run(test)
        assert result.failed == 0, test.name


def test_some_docstrings_have_examples():
    assert sum(len(found(name)) for name in MODULES) >= 2
