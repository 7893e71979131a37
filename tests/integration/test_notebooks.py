"""The notebooks of the documentation run from their first cell to their last, and hold no outputs."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))


def cells(notebook: Path) -> list[str]:
    found = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def run(code: str, names: dict[str, Any]) -> Any:
    """Run a cell; return the value of its last line, as a notebook shows it."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return eval(ast.unparse(last), names) if last else None


def test_there_are_two_without_outputs() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_society", "study"]
    for path in NOTEBOOKS:
        found = json.loads(path.read_text("utf-8"))
        assert not any(cell.get("outputs") for cell in found["cells"])
        assert found["nbformat"] == 4


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    names: dict[str, Any] = {}
    shown = [run(code, names) for code in cells(notebook)]
    if notebook.stem == "first_society":
        together, alone, sent = shown[1]
        assert 0 < together < 1
        assert 0 < alone < 1
        # The ledger that the notebook ends with holds every byte.
        assert shown[-1].sum() == sent > 0
    else:
        assert names["table"].shape == (2, 3)
        assert names["table"].notna().all(axis=None)
        assert names["half_width"] > 0
