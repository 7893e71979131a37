"""Trackers get what TensorBoard gets; each is tested against its real package, where that is installed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentos.config.run import RunConfig
from agentos.events.trackers import TRACKERS, TrackerListener
from agentos.events.trackers.base import Tracked
from agentos.records.reports import RoundReport
from protocols.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other packages


def report(arm: str, round: int, **values: float) -> RoundReport:
    return RoundReport(arm, round, 3, {0: values, 1: values}, {}, 1.0, 0)


def play(tracked: Tracked, finished: bool = True) -> None:
    """Send two rounds of the run and one of its baseline."""
    listener = TrackerListener([tracked])
    for arm, round, loss in (("together", 1, 2.0), ("together", 2, 1.0), ("isolated", 1, 3.0)):
        listener.on_round(report(arm, round, loss=loss, broken=math.nan))
    listener.close(finished)


def test_listener_sends_mean_and_agents_of_each_arm_and_drops_what_is_not_finite() -> None:
    sent: list[tuple[dict[str, float], int]] = []
    ended: list[bool] = []
    play(Tracked(lambda values, round: sent.append((dict(values), round)), ended.append), False)
    losses = {"loss/mean": 2.0, "loss/agent-0": 2.0, "loss/agent-1": 2.0}
    assert sent[0] == ({f"together/{name}": value for name, value in losses.items()}, 1)
    assert [round for _, round in sent] == [1, 2, 1]
    assert sent[2][0]["isolated/loss/mean"] == 3.0
    assert ended == [False]


def test_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentos.events.trackers.base.find_spec", lambda name: None)
    for kind, cls in TRACKERS.items():
        config = RunConfig.model_validate({"trackers": [kind]})
        with pytest.raises(ConfigurationError, match=rf"\[{kind}\]") as caught:
            config.require_inputs()
        assert cls.model_fields["kind"].default == kind
        assert f"trackers names {kind}" in str(caught.value)


def test_trackers_start_with_the_run_and_end_with_how_it_ended(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentos.simulation.simulation import Simulation

    sent: list[str] = []
    ended: list[bool] = []
    begun: list[tuple[str, dict[str, Any]]] = []

    def start(self: object, name: str, config: dict[str, Any]) -> Tracked:
        begun.append((name, config))
        return Tracked(lambda values, round: sent.extend(values), ended.append)

    monkeypatch.setattr(TRACKERS["trackio"], "start", start)
    monkeypatch.setattr("agentos.events.trackers.base.find_spec", lambda name: True)
    config = small(trackers=["trackio"], training={"rounds": 1, "local_steps": 1})
    Simulation(config, tmp_path / "run", cache=cache).run()
    assert (begun[0][0], begun[0][1]["seed"], ended) == (config.name, 0, [True])
    assert {"together/loss/mean", "together/loss/agent-0"} <= set(sent)


def test_mlflow_is_sent_as_many_values_at_once_as_its_servers_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: dict[str, list[list[Any]]] = {"params": [], "metrics": []}
    ended: list[tuple[str, str]] = []

    class Client:
        """MLflow's client, as far as it is called."""

        def __init__(self, uri: str | None) -> None:
            self.known = {"old": SimpleNamespace(experiment_id="1")}

        def get_experiment_by_name(self, name: str) -> Any:
            return self.known.get(name)

        def create_experiment(self, name: str) -> str:
            return f"of {name}"

        def create_run(self, experiment: str, run_name: str) -> Any:
            return SimpleNamespace(info=SimpleNamespace(run_id=f"{experiment}/{run_name}"))

        def log_batch(self, run: str, **values: Any) -> None:
            for kind, batch in values.items():
                sent[kind].append(list(batch))

        def set_terminated(self, run: str, status: str) -> None:
            ended.append((run, status))

    entities = SimpleNamespace(Metric=lambda *fields: fields, Param=lambda *fields: fields)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)  # type: ignore[arg-type]
    client = SimpleNamespace(MlflowClient=Client)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", client)  # type: ignore[arg-type]
    for project, finished in (("old", True), ("new", False)):
        tracker = TRACKERS["mlflow"].model_validate({"project": project})
        tracked = tracker.start("first", {f"x{i}": "y" * 600 for i in range(250)})
        tracked.log({f"loss/{i}": float(i) for i in range(2_001)}, 7)
        tracked.close(finished)
    assert [len(batch) for batch in sent["params"]] == [100, 100, 50] * 2
    assert [len(batch) for batch in sent["metrics"]] == [1000, 1000, 1] * 2
    assert {len(text) for batch in sent["params"] for _, text in batch} == {500}
    first = chain.from_iterable(sent["metrics"][:3])
    values = [(key, value, round) for key, value, _, round in first]
    assert values == [(f"loss/{i}", float(i), 7) for i in range(2_001)]
    assert ended == [("1/first", "FINISHED"), ("of new/first", "FAILED")]


def test_mlflow_keeps_curves_parameters_and_the_status(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = TRACKERS["mlflow"].model_validate({"uri": uri, "project": "societies"})
    play(tracker.start("first", {"agents": {"count": 2}}))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("societies")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params == {"agents.count": "2"}
    curve = client.get_metric_history(run.info.run_id, "together/loss/mean")
    assert [(point.step, point.value) for point in curve] == [(1, 2.0), (2, 1.0)]


def test_wandb_keeps_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = TRACKERS["wandb"].model_validate({"mode": "offline"})
    play(tracker.start("first", {"seed": 0}))
    wandb.teardown()  # waits until everything is written
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"together/loss/mean" in file.read_bytes()


def test_trackio_keeps_a_run_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio")
    tracker = TRACKERS["trackio"].model_validate({"project": "societies"})
    play(tracker.start("first", {"seed": 0}))
    assert any("societies" in path.name for path in tmp_path.rglob("*.db"))
