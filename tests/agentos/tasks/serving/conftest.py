"""A small society in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentos import Task, solve


@pytest.fixture(scope="session")
def solved(
    save_encoder: Callable[..., Path], corpus_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a society of two agents of random weights, both of which answer everything."""
    folder = tmp_path_factory.mktemp("served")
    models = [str(save_encoder(folder / f"m{number}", number)) for number in range(2)]
    source = {"kind": "jsonl", "path": str(corpus_file), "label": "label"}
    task = {"kind": "classify", "source": source, "shots": 12, "max_length": 16}
    given = {"name": "towns", "library": {"models": models}, "task": task, "topology": "complete"}
    return solve(Task.model_validate(given), folder / "out").directory
