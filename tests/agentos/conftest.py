"""A run that is finished, for all that read its records or call it from the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentos import Result, RunConfig, Simulation


@dataclass(frozen=True)
class Finished:
    """A run with its baseline; no test may change its folder."""

    config: RunConfig
    result: Result

    @property
    def directory(self) -> Path:
        return self.result.directory


@pytest.fixture(scope="session")
def finished(
    small: Callable[..., RunConfig], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A run of four agents on a ring, with its isolated baseline, evaluated after every round."""
    config = small(evaluation={"every": 1, "tasks": ["retrieval", "probe"], "documents": 40})
    out = tmp_path_factory.mktemp("finished") / "run"
    return Finished(config, Simulation(config, out=out, cache=cache).run())


@pytest.fixture
def config_file(small_values: dict[str, Any], tmp_path: Path) -> Path:
    """The configuration of a small run, in a file."""
    import yaml

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_values), encoding="utf-8")
    return path
