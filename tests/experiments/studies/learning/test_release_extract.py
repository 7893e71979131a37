"""Defaults read from wheels: parsed, never imported, one spelling a value, one row a span of releases."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from experiments.studies.learning.release_extract import (
    canonical,
    documented,
    parameter_entries,
    releases,
    rows_of,
)

SOURCE = '''
raise SystemExit("imported")

class Forest:
    """A forest.

    Parameters
    ----------
    trees : int, optional (default={stated})
        How many.
    depth, width : int
        Default is 'auto'.

    Attributes
    ----------
    other : int, default=7
    """
    def __init__(self, data, trees={held}, *, depth="auto", width=None, other=1): ...

def _hidden(trees=1):
    """Parameters
    ----------
    trees : int, default=1
    """
'''


def wheel(folder: Path, version: str, held: str, stated: str) -> None:
    with zipfile.ZipFile(folder / f"lib-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr("lib/forest.py", SOURCE.format(held=held, stated=stated))
        archive.writestr("lib/tests/test_forest.py", SOURCE.format(held="0", stated="0"))
        archive.writestr("lib/old.py", "print 'a Python that is no more'")


def test_rows_are_spans_in_the_order_of_releases(tmp_path: Path) -> None:
    wheel(tmp_path, "0.9", "10", "10")
    wheel(tmp_path, "0.10", "10", "10.")
    wheel(tmp_path, "1.0", "1e2", "100")
    rows = list(rows_of(releases(tmp_path, "lib")))
    trees = [row[:6] for row in rows if row[1] == "trees"]
    assert trees == [
        ("Forest", "trees", "0.9", "0.9", "10.0", "10.0"),  # the same default, in other words
        ("Forest", "trees", "0.10", "0.10", "10.0", "10.0"),
        ("Forest", "trees", "1.0", "1.0", "100.0", "100.0"),
    ]
    assert len({row[6] for row in rows if row[1] == "trees"}) == 3
    others = {row[1]: row[2:6] for row in rows if row[1] != "trees"}
    assert others == {
        "depth": ("0.9", "1.0", "auto", "auto"),
        "width": ("0.9", "1.0", "None", "auto"),
    }


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("n : int, default=10", "10.0"),
        ("n : integer, optional (default: 1e-3)", "0.001"),
        ("n : {'a', 'b'}, default='b'", "b"),
        ("n : bool, optional, True by default", "True"),
        ("n : int\n    Defaults to `None`.", "None"),
        ("n : int, default : (1, 2)", "(1, 2)"),
        ("n : int\n    The default value will change from 3 to 5.", ""),
        ("n : int, by default\n    Whether to", ""),
        ("n : int", ""),
    ],
)
def test_stated_default_is_read_as_it_is_written(entry: str, value: str) -> None:
    assert documented(entry) == value


def test_values_have_one_spelling() -> None:
    assert canonical("1") == canonical("1.") == canonical("1.0") == "1.0"
    assert canonical("'auto'") == canonical('"auto"') == canonical("auto") == "auto"
    assert canonical("True") == "True"
    assert canonical("np.inf") == "np.inf"


def test_docstring_without_parameters_has_no_entries() -> None:
    assert parameter_entries("A line.\n\nReturns\n-------\nx : int") == {}
