"""Runs that suffer faults on purpose: recorded, replayed, resumed, branched off from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import RunConfig, Simulation
from agentos.config.load import load
from agentos.events import Listener
from agentos.records.reader import load_run
from agentos.records.reports import RoundReport
from agentos.rounds.resumption import branch, resumption
from agentos.runtime.base import Runtime
from protocols.errors import HostLost, TrainingError

FAULTS: list[dict[str, Any]] = [
    {"kind": "drop", "share": 0.3},
    {"kind": "delay", "share": 0.5, "by": 2},
    {"kind": "churn", "agents": [1], "rounds": 2},
    {"kind": "duplicate", "share": 0.3},
    {"kind": "reorder"},
    {"kind": "corrupt", "share": 0.3},
    {"kind": "network_partition", "rounds": 3},
    {"kind": "stall", "agents": [0], "seconds": 9.0, "rounds": [3, 4]},
    {"kind": "poison_labels", "agents": [2]},
    {"kind": "byzantine", "agents": [3]},
]
KILL = {"kind": "kill", "agent": 3, "rounds": 3, "phase": "merge"}


class PowerCut(BaseException):
    """Nothing that anybody catches."""


class StopsAt(Listener):
    def __init__(self, round: int) -> None:
        self.round = round

    def on_round(self, report: RoundReport) -> None:
        if report.round == self.round:
            raise PowerCut


@pytest.fixture
def faulty(small: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """A run of four rounds under all kinds of faults, and a policy that makes something of them."""

    def make(**changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "topology": "complete",
            "training": {"rounds": 4, "local_steps": 1, "batch_size": 12, "max_length": 16},
            "evaluation": {
                "every": 2,
                "tasks": ["geometry"],
                "documents": 40,
                "between_agents": False,
            },
            "baseline": {"isolated": False},
            "checkpoints": {"every": 2, "keep": 2},
            "exchange": {"kind": "hybrid", "strategies": ["fedavg", "anchor_contrast"]},
            "faults": FAULTS,
            "policy": {"retries": 1, "deadline_s": 5.0, "quorum": 0.4, "checksums": True},
        }
        return small(**{**values, **changes})

    return make


@pytest.fixture(scope="module")
def kept() -> dict[str, Path]:
    """Runs that nothing interrupted."""
    return {}


@pytest.fixture
def through(
    faulty: Callable[..., RunConfig],
    kept: dict[str, Path],
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run under all kinds of faults but deaths, that nothing interrupted."""
    if "through" not in kept:
        kept["through"] = tmp_path_factory.mktemp("through") / "run"
        Simulation(faulty(), kept["through"], cache=cache).run()
    return kept["through"]


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing."""
    monkeypatch.setattr("agentos.simulation.arms.write_report", lambda directory: None)


def struck(directory: Path) -> dict[str, int]:
    """Return how often each kind of fault struck in a run."""
    total: dict[str, int] = {}
    for line in load_run(directory).faults:
        for name, count in line["struck"].items():
            total[name] = total.get(name, 0) + count
    return total


def test_records_and_report_say_what_struck(through: Path) -> None:
    found = struck(through)
    assert found.keys() >= {fault["kind"] for fault in FAULTS}
    assert found.keys() >= {"late", "retried", "past_deadline"}
    record = load_run(through)
    assert sum(row.get("rejected", 0) for row in record.metrics) > 0
    assert [row["absent"] for row in record.metrics if "absent" in row] == [1.0]
    assert record.restarts == []
    report = (through / "report.html").read_text("utf-8")
    assert ">Faults</h2>" in report
    assert "missed the deadline" in report
    assert ">Restarts</h2>" not in report


def test_death_by_script_leaves_the_metrics_of_a_run_without_it(
    faulty: Callable[..., RunConfig], through: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    Simulation(faulty(faults=[*FAULTS, KILL]), out, cache=cache).run()
    assert (out / "metrics.jsonl").read_bytes() == (through / "metrics.jsonl").read_bytes()
    assert struck(out) == {**struck(through), "kill": 1}
    (restart,) = load_run(out).restarts
    assert (restart["round"], restart["back_to"]) == (3, 2)
    assert ">Restarts</h2>" in (out / "report.html").read_text("utf-8")


@pytest.mark.usefixtures("no_report")
def test_resumed_run_suffers_the_same_faults_and_gets_what_was_under_way(
    faulty: Callable[..., RunConfig], through: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(PowerCut):
        Simulation(faulty(), out, StopsAt(3), cache=cache).run()
    manifest = json.loads((out / "checkpoints" / "together-00002" / "manifest.json").read_text())
    assert manifest["late"]
    Simulation(faulty(), out, cache=cache).run(resumption(out))
    for name in ("metrics.jsonl", "faults.jsonl"):
        assert (out / name).read_bytes() == (through / name).read_bytes()


@pytest.mark.usefixtures("no_report")
def test_branch_goes_on_under_another_script(through: Path, cache: Path, tmp_path: Path) -> None:
    other = load(str(through / "config.yaml"), ["faults=[{kind: drop, senders: [0]}]"])
    Simulation(other, tmp_path / "fork", cache=cache).run(
        branch(through, 2, other.training.rounds, afresh=False)
    )
    before, after = load_run(through), load_run(tmp_path / "fork")
    by_round = [
        [[row for row in record.metrics if row["round"] == round] for record in (before, after)]
        for round in range(5)
    ]
    same = [_timeless(left) == _timeless(right) for left, right in by_round]
    assert same == [True, True, True, False, False]
    assert [line["round"] for line in after.faults] == [1, 2, 3, 4]
    assert after.faults[3]["struck"].keys() <= {"drop", "late", "retried", "below_quorum"}


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("no_report")
def test_faults_and_deaths_are_the_same_to_the_bit_on_ray(
    faulty: Callable[..., RunConfig],
    warm: Runtime,
    through: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    there, out = faulty(faults=[*FAULTS, KILL]), tmp_path / "there"
    Simulation(there.model_copy(update={"runtime": warm}), out, cache=cache).run()
    assert (out / "metrics.jsonl").read_bytes() == (through / "metrics.jsonl").read_bytes()
    assert struck(out) == {**struck(through), "kill": 1}
    (restart,) = load_run(out).restarts
    assert "died while it was to merge" in restart["why"]


@pytest.mark.slow
@pytest.mark.ray
def test_killed_host_ends_a_run_that_may_not_restart_by_its_name(
    small: Callable[..., RunConfig], ray_cluster: None, cache: Path, tmp_path: Path
) -> None:
    config = small(
        runtime={"kind": "ray", "hosts": 1},
        faults=[{"kind": "kill", "agent": 3, "rounds": 2}],
        policy={"restarts": 0},
    )
    with pytest.raises(HostLost, match="host 0 died while it was to train") as caught:
        Simulation(config, tmp_path / "run", cache=cache).run()
    assert "killed process" in str(caught.value.hint)
    record = load_run(tmp_path / "run")
    assert record.summary is not None
    assert (record.summary["status"], record.summary["rounds"]) == ("failed", 1)
    assert (tmp_path / "run" / "report.html").is_file()


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows]


def ill_in_round_2(agent: Any, metrics: Any, round: int) -> TrainingError | None:
    ill = agent.id == 1 and round == 2
    return TrainingError("the loss of agent-1 is not finite in round 2", hint="x") if ill else None


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_agent_that_diverges_is_paused_in_that_round_and_its_neighbours_go_on(
    faulty: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    monkeypatch.setattr("agents.training.trainer._divergence", ill_in_round_2)
    changes: dict[str, Any] = {
        "faults": [],
        "exchange": "fedavg",
        "clock": {"speed": 1.0, "work": "steps", "mode": mode},
    }
    with pytest.raises(TrainingError, match="not finite"):
        Simulation(faulty(**{**changes, "policy": {}}), tmp_path / "ended", cache=cache).run()
    changes["policy"] = {"on_nan": "pause"}
    Simulation(faulty(**changes), tmp_path / "run", cache=cache).run()
    run = load_run(tmp_path / "run")
    rows = {(row["agent"], row["round"]): row for row in run.metrics}
    ill, before, neighbour = rows["agent-1", 2], rows["agent-1", 1], rows["agent-0", 2]
    assert (ill["diverged"], ill["paused"], ill["bytes_sent"]) == (1, 1, 0)
    # Where agents do not wait, others send to it without knowing; it does not merge either way.
    assert ill["bytes_received"] == 0 or mode == "asynchronous"
    assert not ill.get("messages_merged")
    assert rows["agent-1", 3]["bytes_sent"] == before["bytes_sent"] > 0
    assert neighbour["bytes_received"] == before["bytes_received"] * 2 // 3
    assert "diverged" not in neighbour
    assert struck(tmp_path / "run") == {"diverged": 1}
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "loss was not finite: round undone" in report
