"""A life of three short episodes, which takes about three seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos.learning.config import LifeConfig


@pytest.fixture
def life_of(small_values: dict[str, Any], tmp_path: Path) -> Callable[..., LifeConfig]:
    """Make the configuration of a life over the documents of `corpus_file`."""

    def make(fields: dict[str, Any] | None = None, **changes: Any) -> LifeConfig:
        path = tmp_path / "run.yaml"
        run = {
            **small_values,
            "data": {**small_values["data"], "anchors": 12, "partition": "iid"},
            "agents": {"count": 2, "encoder": {"preset": "nano"}},
            "exchange": "anchor_similarity",
        }
        path.write_text(yaml.safe_dump(run), encoding="utf-8")
        values = {
            "from": str(path),
            "set": fields or {},
            "stream": {"kind": "by_label", "per_episode": 1, "first": 2, "labelled": 0.4},
            "learn": "er",
            "gate": {"drop": 0.5, "batch": 8, "looks": 2},
        }
        return LifeConfig.model_validate({**values, **changes})

    return make
