"""Hosts that are killed in mid-run: the run goes on, and its records are those of one never disturbed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import PrivateAttr

from agentos import RunConfig, Simulation
from agentos.events import Listener
from agentos.records.reader import load_run
from agentos.records.reports import Restart
from agentos.rounds.resumption import resumption
from agentos.runtime.base import Runtime, Session
from agentos.runtime.host_calls import (
    Answer,
    Compose,
    EmbedTexts,
    Evaluate,
    HostCall,
    Merge,
    Probe,
    ReloadMessages,
    Restore,
    SaveEncoders,
    SaveMessages,
    Snapshot,
    Train,
    TrainRounds,
)
from agentos.runtime.local import LocalRuntime
from agentos.runtime.ray.runtime import RayRuntime
from agents.training.blueprint import Blueprint
from protocols.errors import HostLost, RuntimeFailure

Blow = Callable[[Session, int], None]
Plan = dict[tuple[type[HostCall[Any]], int], int]
"""(class of calls, how many-th of it) to the host that is struck."""


class Struck(Session):
    """A session whose hosts are struck at calls of a plan, each once."""

    def __init__(self, session: Session, plan: Plan, blow: Blow) -> None:
        self._session, self._plan, self._blow = session, dict(plan), blow
        self._calls: Counter[type[HostCall[Any]]] = Counter()
        self.placement = session.placement

    def build(self, blueprint: Blueprint) -> None:
        self._session.build(blueprint)

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        for kind in {type(call) for call in calls.values()}:
            self._calls[kind] += 1
            victim = self._plan.pop((kind, self._calls[kind]), None)
            if victim is not None:
                self._blow(self._session, victim)
        return self._session.call(calls)

    def revive(self) -> tuple[int, ...]:
        return self._session.revive()

    def close(self) -> None:
        self._session.close()


class Dangerous(Runtime):
    """A runtime in which hosts are struck."""

    kind: Literal["dangerous"] = "dangerous"
    _inner: Runtime = PrivateAttr()
    _plan: Plan = PrivateAttr()
    _blow: Blow = PrivateAttr()

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        return Struck(self._inner.start(blueprint, address), self._plan, self._blow)


def dangerous(
    plan: Plan, inner: Runtime | None = None, blow: Blow = lambda session, host: session.kill(host)
) -> Runtime:
    runtime = Dangerous()
    runtime._inner, runtime._plan, runtime._blow = inner or LocalRuntime(), plan, blow
    return runtime


class Told(Listener):
    def __init__(self) -> None:
        self.restarts: list[Restart] = []

    def on_restart(self, restart: Restart) -> None:
        self.restarts.append(restart)


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: here it is about the records."""
    monkeypatch.setattr("agentos.simulation.arms.write_report", lambda directory: None)


def assert_same_records(one: Path, other: Path) -> None:
    """Compare all that a run leaves, times aside, byte for byte."""
    files = ["metrics.jsonl", "health.jsonl"]
    files += [
        name
        for name in ("isolated/metrics.jsonl", "embeddings.safetensors")
        if (other / name).exists()
    ]
    files += [str(path.relative_to(other)) for path in other.glob("encoders/*/*.safetensors")]
    for name in files:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    left, right = load_run(one), load_run(other)
    assert left.ledger is not None
    assert right.ledger is not None
    assert left.ledger.rows() == right.ledger.rows()
    assert [row["round"] for row in left.metrics] == [row["round"] for row in right.metrics]


LIGHT: dict[str, Any] = {
    "baseline": {"isolated": False},
    "evaluation": {"every": 2, "tasks": ["geometry"], "documents": 40, "between_agents": False},
}


@pytest.fixture
def config(small: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """A run of four rounds with a checkpoint after every second."""

    def make(runtime: Runtime | None = None, **changes: Any) -> RunConfig:
        training = {"rounds": 4, "local_steps": 1, "batch_size": 12, "max_length": 16}
        values = {"training": training, "checkpoints": {"every": 2}, **LIGHT, **changes}
        made = small(**values)
        return made.model_copy(update={"runtime": runtime}) if runtime else made

    return make


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Path]:
    """Runs that nothing happened to."""
    return {}


@pytest.fixture
def light(
    config: Callable[..., RunConfig],
    undisturbed: dict[str, Path],
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run without baseline that nothing happened to."""
    if "light" not in undisturbed:
        undisturbed["light"] = tmp_path_factory.mktemp("undisturbed") / "run"
        Simulation(config(), undisturbed["light"], cache=cache).run()
    return undisturbed["light"]


PHASES: Plan = {
    (Train, 1): 0,  # nothing is recorded but the beginning
    (Probe, 4): 0,
    (Merge, 3): 0,
    (Evaluate, 4): 0,
    (Snapshot, 2): 0,
    (EmbedTexts, 1): 0,
    (SaveEncoders, 1): 0,
    (Train, 15): 0,
}


def test_run_ends_as_if_no_host_had_ever_been_killed(
    config: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    full = {"baseline": {"isolated": True}, "evaluation": {"every": 2, "tasks": ["geometry"]}}
    Simulation(config(**full), tmp_path / "undisturbed", cache=cache).run()
    told = Told()
    changed = config(dangerous(PHASES), policy={"restarts": len(PHASES)}, **full)
    Simulation(changed, tmp_path / "run", told, cache=cache).run()
    assert_same_records(tmp_path / "run", tmp_path / "undisturbed")
    died = [(restart.why.rpartition(" was to ")[2], restart.back_to) for restart in told.restarts]
    assert died == [
        ("train", 0),
        ("merge", 2),
        ("probe", 2),
        ("evaluate", 2),
        ("snapshot", 2),
        ("embed texts", 4),
        ("save encoders", 4),
        ("train", 2),
    ]
    assert [restart.arm for restart in told.restarts] == ["together"] * 7 + ["isolated"]
    lines = (tmp_path / "run" / "restarts.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, len(PHASES) + 1))


def test_run_in_which_nobody_waits_ends_as_if_no_host_had_ever_been_killed(
    config: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    speeds = {"uniform": {"low": 100, "high": 1000}}
    clock = {"mode": "asynchronous", "work": "tokens", "speed": speeds, "latency_s": 0.1}
    changes = {"clock": clock, "exchange": "fedavg", "health": {"every": 1}}
    Simulation(config(**changes), tmp_path / "undisturbed", cache=cache).run()
    plan: Plan = {
        (TrainRounds, 1): 0,
        (SaveMessages, 1): 0,
        (Merge, 17): 0,
        (ReloadMessages, 1): 0,
    }
    told = Told()
    changed = config(dangerous(plan), policy={"restarts": len(plan)}, **changes)
    Simulation(changed, tmp_path / "run", told, cache=cache).run()
    assert_same_records(tmp_path / "run", tmp_path / "undisturbed")
    died = [restart.why.rpartition(" was to ")[2] for restart in told.restarts]
    assert sorted(died) == ["merge", "reload messages", "save messages", "train rounds"]
    assert [restart.back_to for restart in told.restarts][-2:] == [2, 2]


def test_run_without_checkpoints_begins_anew(
    config: Callable[..., RunConfig], light: Path, cache: Path, tmp_path: Path
) -> None:
    told = Told()
    changed = config(dangerous({(Merge, 3): 0}), checkpoints={"every": 0})
    Simulation(changed, tmp_path / "run", told, cache=cache).run()
    assert_same_records(tmp_path / "run", light)
    assert [each.back_to for each in told.restarts] == [0]


def test_too_many_deaths_end_a_run_that_can_be_resumed(
    config: Callable[..., RunConfig], light: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    changed = config(dangerous({(Train, 3): 0, (Train, 4): 0}), policy={"restarts": 1})
    with pytest.raises(HostLost, match="has restarted 1 times already") as caught:
        Simulation(changed, out, cache=cache).run()
    assert f"agentos resume {out}" in str(caught.value.hint)
    record = load_run(out)
    assert record.summary is not None
    assert record.summary["status"] == "failed"
    assert {row["round"] for row in record.metrics} == {0, 1, 2}
    # It dies once more, before it is where it was.
    told, again = Told(), config(dangerous({(Restore, 1): 0}))
    Simulation(again, out, told, cache=cache).run(resumption(out))
    assert [each.back_to for each in told.restarts] == [2]
    assert_same_records(out, light)


def test_failure_that_new_hosts_cannot_repair_ends_the_run(
    config: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    def fill(session: Session, host: int) -> None:
        raise RuntimeFailure("the object store is full")

    told = Told()
    with pytest.raises(RuntimeFailure, match="the object store is full"):
        Simulation(
            config(dangerous({(Compose, 1): 0}, blow=fill)), tmp_path / "run", told, cache=cache
        ).run()
    assert told.restarts == []


RAY = RayRuntime(hosts=3, timeout_s=120.0)


class Own(Runtime):
    """A runtime over a session that stays open, and whose hosts may be killed."""

    kind: Literal["own"] = "own"
    _session: Session = PrivateAttr()

    def __init__(self, session: Session) -> None:
        super().__init__(kind="own")
        self._session = session

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        self._session.build(blueprint)
        return StaysOpen(self._session, {}, lambda session, host: None)

    def be_impatient(self) -> None:
        """Wait no more than two seconds for the next call."""
        impatient = RAY.model_copy(update={"timeout_s": 2.0})
        self._session._runtime = impatient  # type: ignore[attr-defined]


class StaysOpen(Struck):
    """A session that outlives the run; new hosts get the time they need."""

    def revive(self) -> tuple[int, ...]:
        self._session._runtime = RAY  # type: ignore[attr-defined]
        return super().revive()

    def close(self) -> None:
        pass


def pid_of(session: Any, host: int) -> int:
    import ray

    while isinstance(session, Struck):
        session = session._session
    pid: int = ray.get(session._actors[host].__ray_call__.remote(lambda self: os.getpid()))
    return pid


def kill_9(session: Session, host: int) -> None:
    """Kill a host's process while it works on the call that comes."""
    pid = pid_of(session, host)
    threading.Timer(0.02, os.kill, (pid, signal.SIGKILL)).start()


@pytest.mark.slow
@pytest.mark.ray
def test_ray_hosts_killed_or_hanging_in_mid_round_leave_the_records_of_an_undisturbed_run(
    config: Callable[..., RunConfig], warm: Any, light: Path, cache: Path, tmp_path: Path
) -> None:
    hosts = Own(warm._session)

    def strike(session: Any, host: int) -> None:
        """Kill a host while it works on the call that comes; the second time, make it hang."""
        pid = pid_of(session, host)
        if host == 0:
            threading.Timer(0.02, os.kill, (pid, signal.SIGKILL)).start()
        else:
            hosts.be_impatient()
            os.kill(pid, signal.SIGSTOP)

    told = Told()
    runtime = dangerous({(Train, 3): 0, (Merge, 3): 1}, hosts, strike)
    Simulation(config(runtime), tmp_path / "run", told, cache=cache).run()
    assert_same_records(tmp_path / "run", light)
    assert [each.hosts for each in told.restarts] == [(0,), (1,)]
    assert "host 0 died" in told.restarts[0].why
    assert "hosts [1] did not finish 'merge' in time" in told.restarts[1].why
