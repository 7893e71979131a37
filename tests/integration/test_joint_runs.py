"""Runs with joint embeddings: their records, the same everywhere, and no gain where all agents are one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos import Result, RunConfig, Simulation
from agentos.cli.encoders.assessment import Request, assessed
from agentos.records.layout import METRICS
from agentos.records.views.run_view import load_view
from agentos.reporting.comparison import compare
from agentos.rounds.resumption import resumption
from agentos.runtime.base import Runtime
from agentos.sweep.rows import measured
from protocols.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("no_report")

JOINT = {
    "every": 2,
    "tasks": ["retrieval", "probe"],
    "documents": 40,
    "joint": {"agents": "neighbours"},
}


def rows_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / METRICS).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def joint(
    small: Callable[..., RunConfig], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Result:
    config = small(evaluation={**JOINT, "joint": {"agents": "neighbours", "pca": 16}})
    return Simulation(config, out=tmp_path_factory.mktemp("joint") / "run", cache=cache).run()


def test_both_arms_are_evaluated_jointly_after_their_last_round_alone(joint: Result) -> None:
    for folder, quality in (
        (joint.directory, joint),
        (joint.directory / "isolated", joint.isolated),
    ):
        rows = rows_of(folder)
        assert {row["round"] for row in rows if "joint_mrr" in row} == {2}
        assert quality is not None
        assert quality.mean["joint_mrr"] == pytest.approx(
            sum(row["joint_mrr"] for row in rows if row["round"] == 2) / 4
        )
        assert 0 < quality.mean["joint_probe_accuracy"] <= 1
    assert "joint_mrr" not in joint.before.mean


def test_cost_is_recorded_apart_from_the_bytes_of_training(
    joint: Result, small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    without = Simulation(
        small(evaluation={"every": 2, "tasks": ["retrieval", "probe"], "documents": 40}),
        out=tmp_path / "run",
        cache=cache,
    ).run()
    assert (without.bytes, without.joint) == (joint.bytes, None)
    assert without.mean == {k: v for k, v in joint.mean.items() if not k.startswith("joint_")}
    cost = joint.joint
    assert cost is not None
    assert (cost.agents, cost.asked) == (4, 2.0)  # a ring of four
    assert cost.answer_bytes == 4 * 2 * cost.texts * 4 * 64
    assert cost.flops_per_text > 0
    assert cost.query_bytes > 0


def test_row_of_a_sweep_has_the_cost_of_a_text(
    joint: Result, small: Callable[..., RunConfig]
) -> None:
    row = measured(joint.directory, small(evaluation=JOINT))
    assert joint.joint is not None
    assert row["joint_asked"] == 2.0
    assert row["joint_bytes_per_text"] == joint.joint.bytes_per_text
    assert row["joint_flops_per_text"] == joint.joint.flops_per_text
    assert row["joint_mrr.mean"] == joint.mean["joint_mrr"]


def test_views_and_comparison_show_the_joint_metrics_beside_the_others(joint: Result) -> None:
    view = load_view(joint.directory)
    assert view.outcome.joint == joint.joint
    assert view.outcome.main is not None
    assert view.outcome.main.name == "mrr"
    (row,) = compare([joint.directory]).rows
    assert row["joint_mrr.mean"] == joint.mean["joint_mrr"]
    assert row["joint_mrr.isolated"] == joint.isolated.mean["joint_mrr"]  # type: ignore[union-attr]


def test_resumed_run_has_the_joint_results_of_the_uninterrupted_one(
    joint: Result, small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(
        evaluation={**JOINT, "joint": {"agents": "neighbours", "pca": 16}},
        checkpoints={"every": 1, "keep": 9},
    )
    out = tmp_path / "run"
    whole = Simulation(config, out=out, cache=cache).run()
    for round in (1, 2):
        again = Simulation(config, out=out, cache=cache).run(resumption(out, round))
        for one in (whole, again):
            assert (one.agents, one.joint) == (joint.agents, joint.joint)
            assert one.isolated.agents == joint.isolated.agents  # type: ignore[union-attr]


@pytest.mark.ray
def test_joint_results_equal_to_the_bit_on_ray(
    joint: Result,
    small: Callable[..., RunConfig],
    warm: Runtime,
    cache: Path,
    tmp_path: Path,
) -> None:
    evaluation = {**JOINT, "joint": {"agents": "neighbours", "pca": 16}}
    config = small(evaluation=evaluation).model_copy(update={"runtime": warm})
    there = Simulation(config, out=tmp_path / "run", cache=cache).run()
    assert rows_of(there.directory) == rows_of(joint.directory)
    assert there.joint == joint.joint


def test_joint_gains_nothing_after_averaging_with_everyone(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(
        topology="complete",
        exchange="fedavg",
        evaluation={**JOINT, "tasks": ["retrieval", "knn"], "joint": {"agents": "all"}},
        baseline={"isolated": False},
    )
    found = Simulation(config, out=tmp_path / "run", cache=cache).run()
    for values in found.agents.values():
        for name in ("mrr", "recall_at_10", "ndcg_at_10", "knn_accuracy"):
            assert values[f"joint_{name}"] == pytest.approx(values[name], abs=1e-9)


def test_copies_ask_each_other_alone(
    small: Callable[..., RunConfig], small_values: dict[str, Any], cache: Path, tmp_path: Path
) -> None:
    config = small(
        data={
            **small_values["data"],
            "partition": {"kind": "copies", "of": "by_label", "copies": 2},
        },
        agents={"count": 4, "encoder": {"preset": "nano"}, "individual_initialisation": True},
        exchange="isolated",
        evaluation={**JOINT, "joint": {"agents": "copies"}},
    )
    found = Simulation(config, out=tmp_path / "run", cache=cache).run()
    joint = [values["joint_mrr"] for values in found.agents.values()]
    assert joint[0] == joint[1]
    assert joint[2] == joint[3]
    assert found.agents["agent-0"]["mrr"] != found.agents["agent-1"]["mrr"]
    assert found.joint is not None
    assert found.joint.asked == 1.0


def test_host_that_dies_in_the_last_round_changes_no_joint_result(
    joint: Result, small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(
        evaluation={**JOINT, "joint": {"agents": "neighbours", "pca": 16}},
        faults=[{"kind": "kill", "agent": 0, "rounds": [2, 2], "phase": "evaluate"}],
        checkpoints={"every": 1},
    )
    found = Simulation(config, out=tmp_path / "run", cache=cache).run()
    assert (found.agents, found.joint) == (joint.agents, joint.joint)


def test_agents_at_their_own_pace_are_asked_when_all_have_ended(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    config = small(
        evaluation=JOINT,
        exchange="anchor_contrast",
        clock={"mode": "asynchronous", "work": "steps", "speed": 1.0},
        baseline={"isolated": False},
    )
    found = Simulation(config, out=tmp_path / "run", cache=cache).run()
    assert all("joint_mrr" in values for values in found.agents.values())
    assert {row["round"] for row in rows_of(found.directory) if "joint_texts" in row} == {2}


def test_exported_encoders_answer_together_as_they_did_in_the_run(
    joint: Result, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    found = assessed(Request(str(joint.directory), joint=True))
    names = [f"agent-{i}" for i in range(4)]
    assert list(found.encoders) == [*names, *(f"joint of {name}" for name in names)]
    for name in names:
        flat = {
            k: v for task in found.encoders[f"joint of {name}"].values() for k, v in task.items()
        }
        recorded = {f"joint_{key}": value for key, value in flat.items()}
        expected = {k: v for k, v in joint.agents[name].items() if k.startswith("joint_")}
        assert recorded == pytest.approx(expected, abs=1e-4)
    wide = assessed(Request(str(joint.directory), agents=[2], joint=True, among="all", pca=0))
    assert list(wide.encoders) == [*names, "joint"]
    assert wide.encoders["joint"]["retrieval"] != found.encoders["joint of agent-2"]["retrieval"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"among": "some"}, "neighbours"),
        ({"pca": 40}, "more than 40 texts"),
        ({"agents": [9]}, "no encoder of agent 9"),
        ({"tasks": ["perplexity"]}, "language-model head"),
    ],
)
def test_joint_requests_that_do_not_fit_are_refused(
    joint: Result, changes: dict[str, Any], told: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_CACHE", str(cache))
    with pytest.raises(ConfigurationError) as caught:
        assessed(Request(str(joint.directory), **{"joint": True, **changes}))
    assert told in f"{caught.value} {getattr(caught.value, 'problems', '')}"


def test_pca_that_is_too_wide_for_its_texts_is_refused_before_anything_is_trained(
    small: Callable[..., RunConfig], small_values: dict[str, Any], cache: Path, tmp_path: Path
) -> None:
    config = small(
        data={**small_values["data"], "anchors": 0},
        exchange="isolated",
        evaluation={**JOINT, "joint": {"pca": 250}},
    )
    with pytest.raises(ConfigurationError, match="is wider than the joint embedding") as caught:
        Simulation(config, out=tmp_path / "run", cache=cache).run()
    assert "256 numbers" in str(caught.value.expected)
    assert not (tmp_path / "run").exists()
