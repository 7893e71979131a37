"""The study of pretrained starts, from made-up rows to a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from agentos.sweep.plan import plan
from experiments.studies.cooperation import pretrained_starts as study

NOISE = (0.0, 0.01, -0.01)
QUALITY = {"alone": 0.3, "self_training": 0.32, "together": 0.4, "fedavg": 0.38}


def row(arm: str, seed: int, **changes: Any) -> dict[str, Any]:
    quality = QUALITY[arm] + NOISE[seed]
    return {
        "status": "finished",
        "arm": arm,
        "seed": seed,
        "own_labels_accuracy.mean": quality,
        "own_labels_accuracy.worst": quality - 0.05,
        "joint_own_labels_accuracy.mean": quality + 0.1,
        "payload_bytes": 0 if arm in ("alone", "self_training") else 20_000,
        **changes,
    }


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [row(arm, seed) for arm in QUALITY for seed in range(3)]


def cells(table: str, first: str) -> list[str]:
    (line,) = (line for line in table.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_gain_is_paired_by_seed_with_self_training(rows: list[dict[str, Any]]) -> None:
    text = study.table(rows)
    assert cells(text, "together")[1:4] == ["0.400 ± 0.025", "0.350 ± 0.025", "+0.080 ± 0.000"]
    assert cells(text, "together")[5] == "0.500 ± 0.025"
    assert cells(text, "alone")[3:5] == ["–", "–"]
    # The noise of a seed that the control lacks must not enter the gain.
    rows = [each for each in rows if (each["arm"], each["seed"]) != ("self_training", 1)]
    assert cells(study.table(rows), "fedavg")[3] == "+0.060 ± 0.000"


def test_runs_that_failed_are_left_out(rows: list[dict[str, Any]]) -> None:
    failed = row("together", 0, status="failed", **{"own_labels_accuracy.mean": 0.0})
    kept = [each for each in rows if (each["arm"], each["seed"]) != ("together", 0)]
    assert cells(study.table([*kept, failed]), "together")[1].startswith("0.400 ±")


def test_heads_are_logistic_regressions_of_each_of_all_and_their_vote() -> None:
    rng = np.random.default_rng(0)
    centres = 2.0 * np.eye(3, 5)
    truth = rng.integers(3, size=60)
    tests = (centres[truth] + rng.normal(size=(60, 5))).astype(np.float32)
    owned = []
    for _ in range(3):
        codes = np.arange(6) % 3
        rows = (centres[codes] + rng.normal(size=(6, 5))).astype(np.float32)
        owned.append((rows, [f"label {code}" for code in codes]))
    names = [f"label {code}" for code in truth]

    right, summed = [], np.zeros((60, 3))
    for rows, labels in owned:
        model = LogisticRegression(C=100.0, max_iter=1000).fit(rows, labels)
        right += [sum(a == b for a, b in zip(model.predict(tests), names, strict=True)) / 60]
        summed += model.predict_proba(tests)
    every = LogisticRegression(C=100.0, max_iter=1000).fit(
        np.vstack([rows for rows, _ in owned]), [label for _, labels in owned for label in labels]
    )
    features = np.vstack([rows for rows, _ in owned])
    given = [label for _, labels in owned for label in labels]
    groups = [np.arange(6) + 6 * agent for agent in range(3)]
    found = study.heads(features, given, groups, tests, names)
    assert found["alone"] == pytest.approx(sum(right) / 3)
    assert found["vote"] == pytest.approx(np.mean(summed.argmax(axis=1) == truth))
    assert found["pooled"] == pytest.approx(np.mean(every.predict(tests) == names))


def test_page_holds_both_tables(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    found = {"TF-IDF": {"alone": [0.1, 0.2], "vote": [0.2, 0.2], "pooled": [0.3, 0.3]}}
    text = study.write_results(rows, found, "the command", tmp_path).read_text("utf-8")
    assert "`the command`" in text
    assert "3 seeds" in text
    assert cells(text, "TF-IDF")[1:] == ["0.150 ± 0.635", "0.200 ± 0.000", "0.300 ± 0.000"]


def test_arms_plan_with_the_named_encoder() -> None:
    planned = plan(study.sweep_of(Path("text.parquet"), "./minilm", seeds=2))
    assert {run.seed for run in planned} == {0, 1}
    assert {run.arm for run in planned} == set(QUALITY)
    assert {run.config.agents.resolved[0].encoder.path for run in planned} == {"./minilm"}
