"""Self-training as a baseline: every agent taught by its own messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import Result, RunConfig, Simulation
from agentos.records.layout import METRICS, SELF_TRAINING
from agentos.records.reader import load_run
from agentos.records.views.outcome import outcome
from agentos.reporting.verdict import verdict
from agentos.rounds.resumption import resumption
from agentos.simulation.arms import baselines_of

pytestmark = pytest.mark.usefixtures("no_report")

MEASURED_S = ("train_s", "wait_s", "round_s")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / METRICS).read_text("utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in MEASURED_S} for row in rows]


def checked_out(small: Callable[..., RunConfig], **changes: Any) -> RunConfig:
    return small(
        exchange={"kind": "pseudo_labels", "classes": 4},
        baseline={"isolated": True, "self_training": True},
        checkpoints={"every": 1, "keep": 9},
        **changes,
    )


@pytest.fixture(scope="module")
def found(
    small: Callable[..., RunConfig], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Result:
    out = tmp_path_factory.mktemp("self") / "run"
    return Simulation(checked_out(small), out=out, cache=cache).run()


def test_baseline_is_a_run_in_which_every_agent_is_its_own_teacher(
    found: Result, small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    exchange = {"kind": "pseudo_labels", "classes": 4, "teacher": "own"}
    alone = small(exchange=exchange, baseline={"isolated": False})
    control = Simulation(alone, out=tmp_path / "run", cache=cache).run()
    assert found.self_training is not None
    assert found.self_training.agents == control.agents
    assert found.self_training.agents != found.agents
    losses = [
        [
            (row["round"], row["agent"], row.get("loss"), row.get("exchange_loss"))
            for row in rows_of(folder)
        ]
        for folder in (found.directory / SELF_TRAINING, control.directory)
    ]
    assert losses[0] == losses[1]
    assert control.bytes.total == 0 < found.bytes.total


def test_verdict_compares_with_the_better_baseline(found: Result) -> None:
    result = outcome(load_run(found.directory))
    assert found.isolated is not None
    assert found.self_training is not None
    metric = result.main
    assert metric is not None
    means = {"alone": found.isolated.mean, "by self-training": found.self_training.mean}
    best = max(means, key=lambda name: means[name][metric.name])
    assert result.control == best
    assert result.gain is not None
    assert result.gain.mean == pytest.approx(found.mean[metric.name] - means[best][metric.name])
    words = verdict(result)
    assert " alone and " in words.headline
    assert "by self-training, for " in words.headline
    assert f"from agents {best}" in " ".join(words.details)


@pytest.mark.parametrize("arm", ["together", "isolated", "self_training"])
def test_run_that_stops_in_any_arm_ends_as_if_it_had_not(
    arm: str,
    found: Result,
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
) -> None:
    class Stop:
        """Interrupts the run after the first round of the arm."""

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

        def on_round(self, report: Any) -> None:
            if (report.arm, report.round) == (arm, 1):
                raise KeyboardInterrupt

    out, config = tmp_path / "run", checked_out(small)
    with pytest.raises(KeyboardInterrupt):
        Simulation(config, out=out, cache=cache, listener=Stop()).run()  # type: ignore[arg-type]
    again = Simulation(config, out=out, cache=cache).run(resumption(out))
    assert (again.agents, again.bytes) == (found.agents, found.bytes)
    assert again.isolated is not None
    assert again.self_training is not None
    for name in ("", "isolated", "self_training"):
        assert rows_of(out / name) == rows_of(found.directory / name)


def test_exchanges_that_are_not_about_anchors_have_no_such_baseline(
    small: Callable[..., RunConfig],
) -> None:
    wanted = {"isolated": True, "self_training": True}
    assert baselines_of(small(exchange="fedavg", baseline=wanted)) == ("isolated",)
    assert baselines_of(small(exchange="isolated", baseline=wanted)) == ()
    assert baselines_of(small(exchange="fedproto", baseline={**wanted, "isolated": False})) == (
        SELF_TRAINING,
    )
