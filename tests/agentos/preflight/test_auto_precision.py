"""precision: auto becomes a precision, and stays it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos import RunConfig, Simulation


@pytest.mark.parametrize(("pays", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_choice_takes_the_place_of_auto_in_the_record(
    small: Callable[..., RunConfig],
    small_values: dict[str, Any],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pays: bool,
    chosen: str,
) -> None:
    monkeypatch.setattr("agentos.simulation.arms.write_report", lambda directory: None)
    monkeypatch.setattr("agents.hosting.host.pays_in_bfloat16", lambda steps, device: pays)
    fields = {"baseline": {"isolated": False}, "evaluation": {"tasks": ["geometry"]}}
    metrics = []
    for precision in ("auto", chosen):
        training = {**small_values["training"], "precision": precision}
        config = small(training=training, **fields)
        Simulation(config, out=tmp_path / precision, cache=cache).run()
        text = (tmp_path / precision / "config.yaml").read_text(encoding="utf-8")
        assert yaml.safe_load(text)["training"]["precision"] == chosen
        metrics.append((tmp_path / precision / "metrics.jsonl").read_bytes())
    assert metrics[0] == metrics[1]
    told = [json.loads((tmp_path / p / "environment.json").read_text()) for p in ("auto", chosen)]
    assert told[0]["precision"] == f"{chosen}, chosen by auto"
    assert "precision" not in told[1]
