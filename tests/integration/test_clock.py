"""Runs with a simulated clock: the same wherever agents live, and no other numbers where agents wait."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.records.checkpoint_config import CheckpointConfig
from agentos.records.checkpoints import checkpoints_of
from agentos.records.reader import load_run
from agentos.reporting.comparison import compare
from agentos.reporting.report import write_report
from agentos.rounds.async_snapshot import MESSAGES, SNAPSHOT
from agentos.rounds.resumption import branch, resumption
from agentos.runtime.base import Runtime
from agentos.runtime.local import LocalRuntime
from protocols.errors import ConfigurationError, RecordError

PARTS: dict[str, Any] = {
    "baseline": {"isolated": False},
    "evaluation": {"every": 2, "tasks": ["geometry"], "documents": 40, "between_agents": False},
    "checkpoints": {"every": 0},
}
UNEQUAL = {
    "mode": {"kind": "asynchronous", "staleness": 2},
    "work": "tokens",
    "speed": {"uniform": {"low": 100, "high": 1000}},
    "latency_s": {"log_normal": {"median": 0.1}},
    "bytes_per_s": 2e6,
}
DECOUPLED = {**UNEQUAL, "mode": {"kind": "asynchronous", "staleness": 2, "quorum": 2, "grace_s": 1}}
"""Decoupled DiLoCo's clock; its exchange is the one below."""
STREAMING = {"fragments": 2, "overlap": 1, "alpha": 0.5, "weighting": "tokens"}
ALIKE = {"work": "steps", "speed": 2.0, "latency_s": 0.0, "bytes_per_s": None}


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: here it is about the records."""
    monkeypatch.setattr("agentos.simulation.arms.write_report", lambda directory: None)


def rows_of(directory: Path) -> list[dict[str, Any]]:
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def run(config: RunConfig, out: Path, cache: Path) -> list[dict[str, Any]]:
    Simulation(config, out=out, cache=cache).run()
    return rows_of(out)


def without(rows: list[dict[str, Any]], *beginnings: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.startswith(beginnings)} for row in rows]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("exchange", "topology"),
    [
        ("fedavg", "ring"),
        ("anchor_contrast", "master_slave"),
        ("streaming_diloco", "master_slave"),
    ],
)
def test_asynchronous_run_equal_to_the_bit_on_ray(
    exchange: str,
    topology: str,
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
    small_values: dict[str, Any],
) -> None:
    training = {**small_values["training"], "rounds": 4}
    parts = {**PARTS, "exchange": exchange, "topology": topology, "training": training}
    config = small(**parts, clock=UNEQUAL)
    reference = run(config, tmp_path / "local", cache)
    assert len(reference) == 5 * 4
    assert sum(row.get("rounds_behind", 0) for row in reference) > 0
    there = config.model_copy(update={"runtime": warm})
    assert run(there, tmp_path / "there", cache) == reference  # simulated seconds included
    assert all("simulated_s" in row for row in reference)


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["ring", "master_slave"])
@pytest.mark.parametrize("exchange", ["fedavg", {"streaming_diloco": {"fragments": 2}}], ids=str)
def test_clock_changes_no_number_where_agents_wait_or_are_alike(
    exchange: Any, topology: str, small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    parts = {**PARTS, "exchange": exchange, "topology": topology}
    plain = run(small(**parts), tmp_path / "plain", cache)
    waiting = run(small(**parts, clock={**UNEQUAL, "mode": "synchronous"}), tmp_path / "w", cache)
    assert without(waiting, "simulated_") == plain
    alike = run(small(**parts, clock={**ALIKE, "mode": "asynchronous"}), tmp_path / "a", cache)
    assert without(alike, "simulated_", "messages_", "rounds_behind") == plain
    assert [row["simulated_s"] for row in alike] == [float(row["round"]) for row in alike]


@pytest.mark.slow
@pytest.mark.parametrize("exchange", ["anchor_contrast", "streaming_diloco"])
def test_resumed_run_goes_on_in_simulated_time(
    exchange: str, small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    clock = {**UNEQUAL, "mode": "synchronous"}
    options = {"fragments": 2, "overlap": 1} if exchange == "streaming_diloco" else {}
    parts = {
        **PARTS,
        "checkpoints": {"every": 1, "keep": "all"},
        "clock": clock,
        "exchange": {exchange: options},
    }
    config = small(**parts)
    whole = run(config, tmp_path / "run", cache)
    assert any("simulated_behind_s" in row for row in whole) == bool(options)
    (tmp_path / "run" / "summary.json").unlink()
    Simulation(config, out=tmp_path / "run", cache=cache).run(resumption(tmp_path / "run", 1))
    assert rows_of(tmp_path / "run") == whole


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("exchange", "topology"),
    [
        ("fedavg", "master_slave"),
        ("anchor_contrast", "ring"),
        ("streaming_diloco", "master_slave"),
    ],
)
def test_asynchronous_run_that_is_resumed_ends_with_the_same_bytes(
    exchange: str,
    topology: str,
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
    small_values: dict[str, Any],
) -> None:
    """Resumed from its checkpoints: agents stand in different rounds then, and messages are in flight."""
    from agents.hosting.state_file import load_tree

    evaluation = {**PARTS["evaluation"], "tasks": ["geometry", "probe"], "between_agents": True}
    parts = {
        **PARTS,
        "topology": topology,
        "training": {**small_values["training"], "rounds": 4},
        "checkpoints": {"every": 1, "keep": 9},
        "evaluation": evaluation,
    }
    is_streaming = exchange == "streaming_diloco"
    options, clock = (STREAMING, DECOUPLED) if is_streaming else ({}, UNEQUAL)
    config = small(**parts, exchange={exchange: options}, health={"every": 1}, clock=clock)
    whole = tmp_path / "whole"
    run(config, whole, cache)
    plain = config.model_copy(update={"checkpoints": CheckpointConfig(every=0)})
    assert run(plain, tmp_path / "plain", cache) == rows_of(whole)
    found = checkpoints_of(whole)
    assert found[-1].manifest.round == 4
    snapshots = [load_tree(each.directory / SNAPSHOT, dict) for each in found]
    assert any(len(set(snapshot["round"].values())) > 1 for snapshot in snapshots)
    assert any(snapshot["due"] for snapshot in snapshots) or topology == "master_slave"
    assert any(snapshot["messages"] for snapshot in snapshots)
    assert any(snapshot["ended"] for snapshot in snapshots[:-1])
    # Nothing depends on where agents live, nor on which of them lie in memory.
    runtimes = [LocalRuntime(memory_mb=1), warm, LocalRuntime(), LocalRuntime()]
    for checkpoint, runtime in zip(found, runtimes, strict=True):
        again = tmp_path / f"from-{checkpoint.manifest.round}"
        shutil.copytree(whole, again)
        for name in ("summary.json", "ledger.parquet", "similarity.json", "embeddings.safetensors"):
            (again / name).unlink()
        elsewhere = config.model_copy(update={"runtime": runtime})
        Simulation(elsewhere, out=again, cache=cache).run(
            resumption(again, checkpoint.manifest.round)
        )
        for name in ("metrics.jsonl", "health.jsonl", "similarity.json", "embeddings.safetensors"):
            assert (again / name).read_bytes() == (whole / name).read_bytes(), (again, name)
        assert load_run(again).ledger.rows() == load_run(whole).ledger.rows()  # type: ignore[union-attr]


def test_nobody_branches_off_where_agents_do_not_wait(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(**{**PARTS, "checkpoints": {"every": 1, "keep": "all"}}, clock=UNEQUAL)
    run(config, tmp_path / "run", cache)
    with pytest.raises(ConfigurationError, match="agents do not wait for each other"):
        branch(tmp_path / "run", 1, config.training.rounds, afresh=False)


@pytest.mark.slow
def test_damaged_moment_is_refused_by_name(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    from agents.hosting.state_file import load_tree, save_tree

    config = small(**{**PARTS, "checkpoints": {"every": 1, "keep": 1}}, clock=UNEQUAL)
    run(config, tmp_path / "run", cache)
    (tmp_path / "run" / "summary.json").unlink()
    folder = checkpoints_of(tmp_path / "run")[-1].directory
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    snapshot, messages = load_tree(folder / SNAPSHOT, dict), (folder / MESSAGES).read_bytes()
    (folder / MESSAGES).write_bytes(messages[:-1] + b"?")
    with pytest.raises(RecordError, match=MESSAGES):
        Simulation(config, out=tmp_path / "run", cache=cache).run(resumption(tmp_path / "run"))
    (folder / MESSAGES).write_bytes(messages)
    without = {name: value for name, value in snapshot.items() if name != "round"}
    for damaged in ({}, {"messages": []}, {**snapshot, "messages": [(1, 2)]}, without):
        manifest["files"][SNAPSHOT] = save_tree(damaged, folder / SNAPSHOT)
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        with pytest.raises(RecordError, match=SNAPSHOT):
            Simulation(config, out=tmp_path / "run", cache=cache).run(resumption(tmp_path / "run"))


def test_summary_tells_when_the_last_agent_would_have_ended(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(checkpoints={"every": 0}, clock={**ALIKE, "speed": 0.5, "latency_s": 0.25})
    result = Simulation(config, out=tmp_path / "run", cache=cache).run()
    # Two rounds of 2 steps at half a step a second; no messages after the last one.
    assert result.simulated_s == 8.25
    assert result.isolated is not None
    assert result.isolated.simulated_s == 8.0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["simulated_s"] == 8.25
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Quality against simulated time" in page
    assert "agents waited 3.0% of it for messages" in page  # 0.25 of 8.25 seconds
    assert compare([tmp_path / "run"]).rows[0]["simulated_s"] == 8.25


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"exchange": "codistillation"},
            "exchange.kind=codistillation with these parameters cannot weigh",
        ),
        ({"exchange": "ranked_neighbours"}, "exchange.kind=ranked_neighbours"),
        (
            {"exchange": {"kind": "fedavg", "fusion": "median"}},
            "exchange.kind=fedavg with these parameters",
        ),
        (
            {"exchange": {"kind": "hybrid", "strategies": ["fedavg", "codistillation"]}},
            "exchange.kind=codistillation",
        ),
        (
            {
                "exchange": {
                    "kind": "cross_negatives",
                    "shares_private_embeddings": True,
                    "mode": "differentiable",
                },
                "training": {"local_steps": 1, "batch_size": 12},
            },
            "goes through the topology 2 times",
        ),
        ({"topology": "one_peer_exponential"}, "choose a topology that does not vary"),
    ],
)
def test_what_cannot_run_asynchronously_is_refused_with_the_hint(
    changes: dict[str, Any], told: str, small: Callable[..., RunConfig]
) -> None:
    with pytest.raises(ValueError, match=told):
        small(**{"checkpoints": {"every": 0}, "clock": {"mode": "asynchronous"}, **changes})
