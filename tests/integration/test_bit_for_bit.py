"""The same run in every runtime and packing of agents: the same numbers, to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentos import RunConfig, Simulation
from agentos.runtime.base import Runtime
from agents.exchange import EXCHANGES
from agents.text.length_buckets import buckets

FAMILIES = {
    "peer": {"kind": "ring"},
    "master_slave": {"kind": "master_slave"},
    "layered": {"kind": "layered", "levels": [1, 1, 2]},
}
EXCHANGE_OPTIONS: dict[str, dict[str, Any]] = {
    "pseudo_labels": {"classes": 4, "confidence": 0.0, "fusion": "dawid_skene"},
    "secure_pseudo_labels": {"classes": 4, "confidence": 0.0},
    "fedmd": {"classes": 4},
    "dsfl": {"classes": 4},
    "anchor_similarity": {"trust": "agreement"},
    "prototypes": {"centroids": 4, "sample": 16},
    "fedproto": {"classes": 4},
    "cross_negatives": {"shares_private_embeddings": True},
    "hybrid": {"strategies": [{"fedavg": {"every": 2}}, "anchor_contrast"]},
}
CASES = [
    *((exchange, "layered") for exchange in EXCHANGES if not exchange.startswith("secure_")),
    *((exchange, "peer") for exchange in ("anchor_contrast", "fedavg", "cross_negatives")),
    *(
        (exchange, "master_slave")
        for exchange in ("anchor_contrast", "fedavg", "secure_pseudo_labels")
    ),
]
"""Every exchange that needs no master in layers, whose messages pass hosts up and down, through agents
between; how each of them works under another topology is tested by its contract."""
SHORT: dict[str, Any] = {
    "baseline": {"isolated": False},
    "evaluation": {"every": 2, "tasks": ["geometry"], "documents": 40, "between_agents": False},
}
"""Measurements do not depend on the exchange."""

pytestmark = pytest.mark.usefixtures("no_report")


def metrics_of(directory: Path) -> list[dict[str, Any]]:
    """Read a run's metrics, time fields aside."""
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


def counting(counts: list[int]) -> Callable[[np.ndarray, int], list[np.ndarray]]:
    """Divide batches as they are divided, and note into how many buckets."""

    def counted(lengths: np.ndarray, pass_tokens: int) -> list[np.ndarray]:
        found = buckets(lengths, pass_tokens)
        counts.append(len(found))
        return found

    return counted


def run(config: RunConfig, out: Path, cache: Path) -> list[dict[str, Any]]:
    Simulation(config, out=out, cache=cache).run()
    return metrics_of(out)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(("exchange", "family"), CASES)
def test_metrics_equal_to_the_bit_on_every_runtime(
    exchange: str,
    family: str,
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    parts: dict[str, Any] = {
        "topology": FAMILIES[family],
        "exchange": {"kind": exchange, **EXCHANGE_OPTIONS.get(exchange, {})},
        **SHORT,
    }
    reference = run(small(**parts), tmp_path / "local", cache)
    assert len(reference) == 3 * 4
    there = small(**parts).model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    "settings",
    [
        {"codec": "int8"},
        {"codec": {"kind": "pca", "dimensions": 8}},
        {"privacy": {"clip": 1.0, "noise": 0.05}},
    ],
    ids=["int8", "pca", "noise"],
)
def test_coded_and_noised_messages_equal_to_the_bit_on_ray(
    settings: dict[str, Any],
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    exchange = {"kind": "anchor_contrast", **settings}
    config = small(exchange=exchange, **SHORT)
    reference = run(config, tmp_path / "local", cache)
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference


@pytest.mark.slow
@pytest.mark.ray
def test_centred_and_whitened_metrics_equal_to_the_bit_on_ray(
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    config = small(
        evaluation={"tasks": ["retrieval"], "whitening": {}, "center_documents": 128},
        baseline={"isolated": False},
    )
    reference = run(config, tmp_path / "local", cache)
    means = {row["centered_mrr"] for row in reference if row["round"] == 0}
    assert len(means) > 1  # equal weights, but each agent has its own text
    assert all("whitened_mrr" in row for row in reference if row["round"] == 2)
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference


@pytest.mark.slow
def test_metrics_differ_when_seed_differs(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    first, again = (run(small(**SHORT), tmp_path / name, cache) for name in ("first", "again"))
    other = run(small(seed=1, **SHORT), tmp_path / "other", cache)
    assert first == again
    assert first != other


@pytest.mark.slow
def test_baseline_equals_a_run_without_exchange(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    together = small(baseline={"isolated": True, "anchors_as_text": False})
    run(together, tmp_path / "together", cache)
    alone = run(small(exchange="isolated"), tmp_path / "alone", cache)
    assert metrics_of(tmp_path / "together" / "isolated") == alone


@pytest.mark.slow
@pytest.mark.ray
def test_unlike_encoders_equal_to_the_bit_on_ray(
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
    small_values: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = [
        {"count": 1, "encoder": {"preset": "tiny"}},
        {"count": 3, "encoder": {"preset": "nano", "pooling": "cls", "projection": 16}},
    ]
    config = small(
        agents={"groups": groups},
        # So many texts that they go through the encoder in buckets of like length.
        training={**small_values["training"], "batch_size": 32, "max_length": 32},
        baseline={"isolated": False},
    )
    divided: list[int] = []
    monkeypatch.setattr("agents.models.microbatch.buckets", counting(divided))
    reference = run(config, tmp_path / "local", cache)
    assert max(divided) > 1
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference


@pytest.mark.slow
@pytest.mark.ray
def test_robust_fusion_and_looking_back_equal_to_the_bit_on_ray(
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    config = small(
        topology="complete",
        objectives=["info_nce", "moon"],
        exchange={"kind": "fedema", "fusion": "median"},
        **SHORT,
    )
    reference = run(config, tmp_path / "local", cache)
    assert any(row.get("moon_loss", 0.0) > 0.0 for row in reference)
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("exchange", ["pseudo_labels", "fedproto"])
def test_votes_of_own_labels_equal_to_the_bit_on_ray(
    exchange: str,
    small: Callable[..., RunConfig],
    small_values: dict[str, Any],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    config = small(
        **own_labels(small_values), exchange={"kind": exchange, "classes": 4, "labels": "own"}
    )
    reference = run(config, tmp_path / "local", cache)
    assert all("labelled_accuracy" in row for row in reference if "train_loss" in row)
    assert any("exchange_loss" in row for row in reference)
    assert sum("own_labels_accuracy" in row for row in reference) >= 4
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference


def own_labels(small_values: dict[str, Any]) -> dict[str, Any]:
    """Return the sections of a run whose agents have labels of their own."""
    return {
        "data": {**small_values["data"], "private_labels": {"per_class": 2}},
        "objectives": ["info_nce", {"kind": "labelled", "classes": 4}],
        **SHORT,
        "evaluation": {**SHORT["evaluation"], "tasks": ["own_labels"]},
    }


@pytest.mark.slow
@pytest.mark.ray
def test_exact_gradients_equal_to_the_bit_on_ray(
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
    small_values: dict[str, Any],
) -> None:
    config = small(
        topology=FAMILIES["layered"],
        exchange={
            "kind": "cross_negatives",
            "shares_private_embeddings": True,
            "mode": "differentiable",
        },
        training={**small_values["training"], "rounds": 3, "local_steps": 1},
        **SHORT,
    )
    reference = run(config, tmp_path / "local", cache)
    assert any("exchange_loss" in row for row in reference)
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference
