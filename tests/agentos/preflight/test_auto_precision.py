"""precision: auto becomes a precision, and stays it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos import RunConfig, Simulation
from agents.training.precision import CHOICES, worthwhile


@pytest.mark.parametrize(("bf16_s", "chosen"), [(0.01, "bf16"), (1.0, "fp32")])
def test_choice_takes_the_place_of_auto_in_the_record(
    small: Callable[..., RunConfig],
    small_values: dict[str, Any],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bf16_s: float,
    chosen: str,
) -> None:
    monkeypatch.setattr("agentos.arms.write_report", lambda directory: None)
    seconds = {"fp32": 0.1, "bf16": bf16_s}
    monkeypatch.setattr("agents.hosting.host.step_seconds", lambda *_: seconds)
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
    assert told[0]["precision"].startswith(f"{chosen}, chosen by auto: a step takes fp32 100.0 ms")
    assert "precision" not in told[1]


def test_host_measures_both_and_its_agents_stay_as_they_were(
    make_host: Callable[..., Any],
) -> None:
    import torch

    from agents.exchange.anchors.anchor_contrast import AnchorContrast
    from agents.training.blueprint import Arm

    host = make_host(2, training={"precision": "auto"})
    arm = Arm(AnchorContrast(), 0.25)
    host.begin(arm)
    before = {id: agent.parameters.clone() for id, agent in host.agents.items()}
    drawn = torch.random.get_rng_state()
    chosen, seconds = host.choose_precision(arm)
    assert set(seconds) == set(CHOICES)
    assert all(taken > 0 for taken in seconds.values())
    assert chosen == worthwhile(seconds)
    for id, agent in host.agents.items():
        assert torch.equal(agent.parameters, before[id])
        assert agent.state.step == 0
    assert torch.equal(torch.random.get_rng_state(), drawn)
