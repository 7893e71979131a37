"""A sweep's file: its short forms, and errors that name the field, the value and the hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentos.config.field_errors import InvalidConfiguration
from agentos.config.run import RunConfig
from agentos.sweep.config import SweepConfig, load_sweep, validated
from agentos.sweep.optuna_search import _metric
from agentos.sweep.plan import Planned, identity, plan
from agentos.sweep.search_config import Range
from protocols.errors import ConfigurationError

SWEEP: dict[str, Any] = {
    "base": {"data": {"source": "docstrings"}, "exchange": {"kind": "isolated"}},
    "seeds": 2,
    "arms": {"alone": None, "fedavg": {"exchange.kind": "fedavg"}},
    "axes": {
        "topology": {"ring": {"topology.kind": "ring"}, "star": {"topology.kind": "master_slave"}}
    },
    "exclude": [{"arm": "alone", "topology": "star"}],
}


def refused(**changes: Any) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        plan(validated({**SWEEP, **changes}, "sweep.yaml"))
    return " ".join(
        str(part)
        for problem in caught.value.problems
        for part in (problem.path, problem.message, problem.given, problem.allowed, problem.closest)
    )


def test_runs_are_arms_at_values_under_seeds_without_the_excluded() -> None:
    runs = plan(validated(SWEEP, "sweep.yaml"))
    assert [(run.seed, run.arm, run.axes["topology"]) for run in runs] == [
        (seed, *rest)
        for seed in (0, 1)
        for rest in (("alone", "ring"), ("fedavg", "ring"), ("fedavg", "star"))
    ]
    star = runs[2].config
    assert (star.topology.kind, star.exchange.kind, star.seed) == ("master_slave", "fedavg", 0)
    assert star.name == "fedavg-star-0"


def test_runs_are_plain_unless_the_base_says_otherwise() -> None:
    (plain, *_) = plan(validated(SWEEP, "sweep.yaml"))
    assert (plain.config.baseline.isolated, plain.config.runtime.kind) == (False, "local")
    assert plain.config.checkpoints.every == 0
    base = {**SWEEP["base"], "baseline": {"isolated": True}}
    (compared, *_) = plan(validated({**SWEEP, "base": base}, "sweep.yaml"))
    assert compared.config.baseline.isolated


def test_arm_sets_its_fields_after_the_axes() -> None:
    arms = {"alone": {"topology.kind": "complete"}}
    runs = plan(
        validated({**SWEEP, "seeds": 1, "arms": arms, "exclude": [{"topology": "star"}]}, "-")
    )
    assert [run.config.topology.kind for run in runs] == ["complete"]


def test_base_may_be_a_file_beside_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("training: {rounds: 3}\n")
    (tmp_path / "many.yaml").write_text("base: base.yaml\nseeds: [7]\narms: {only: }\n")
    sweep = load_sweep(tmp_path / "many.yaml")
    (run,) = plan(sweep)
    assert (sweep.name, run.seed, run.config.training.rounds) == ("many", 7, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arm": {}}, ["arm", "unknown key", "arms"]),
        ({"arms": {}}, ["arms"]),
        ({"arms": {"a b": {}}}, ["arms", "'a b'", "letters, digits"]),
        ({"arms": {"a": {"x..y": 1}}}, ["arms", "'x..y'", "training.rounds"]),
        ({"arms": {"a": {"seed": 1}}}, ["arms", "'seed'", "use its seeds"]),
        ({"axes": {"arm": {"x": {}}}}, ["axes", "'arm'"]),
        ({"axes": {"size": {}}}, ["axes", "size", "give at least one"]),
        ({"seeds": 0}, ["seeds"]),
        ({"seeds": [1, 1]}, ["seeds", "each once"]),
        ({"exclude": [{"arm": "alon"}]}, ["exclude", "'alon'", "alone, fedavg"]),
        ({"exclude": [{"topolgy": "ring"}]}, ["exclude", "topolgy", "topology"]),
        ({"base": ["x"]}, ["base", "mapping"]),
        # In the runs themselves
        ({"base": {"trainig": {}}}, ["trainig", "unknown key", "training"]),
        ({"arms": {"a": {"exchange.kind": "wights"}}}, ["exchange.kind", "wights", "fedavg"]),
        (
            {"axes": {"length": {"no": {"training.max_length": 1}}}},
            ["training.max_length", "1", "8"],
        ),
    ],
)
def test_error_names_field_value_and_hint(changes: dict[str, Any], told: list[str]) -> None:
    changes = changes if "exclude" in changes else {"exclude": [], **changes}
    said = refused(**changes)
    for part in told:
        assert part in said, said


def test_error_of_a_run_names_arm_and_values() -> None:
    arms = {"few": {"training.rounds": 0}}
    with pytest.raises(InvalidConfiguration) as caught:
        plan(validated({**SWEEP, "arms": arms, "exclude": []}, "sweep.yaml"))
    assert "run few ring" in caught.value.origin


def test_two_arms_that_are_the_same_run_are_refused() -> None:
    arms = {"one": {"training.rounds": 3}, "other": {"training": {"rounds": 3}}}
    with pytest.raises(ConfigurationError, match="the same: one ring seed 0 and other ring seed 0"):
        plan(validated({**SWEEP, "arms": arms, "exclude": []}, "sweep.yaml"))


def test_sweep_of_nothing_is_refused() -> None:
    exclude = [{"arm": ["alone", "fedavg"]}]
    with pytest.raises(ConfigurationError, match="no runs"):
        plan(validated({**SWEEP, "exclude": exclude}, "sweep.yaml"))


# Ids


def test_id_is_of_the_run_and_not_of_its_name(small: Callable[..., Any]) -> None:
    config = small()
    assert identity(config) == identity(config.model_copy(update={"name": "other"}))
    assert identity(config) == identity(type(config).model_validate(config.resolved()))
    others = [small(seed=1), small(topology="complete"), small(exchange={"kind": "fedavg"})]
    assert len({identity(config), *map(identity, others)}) == 4


def test_id_stays_when_arms_are_renamed_reordered_or_added() -> None:
    before = {run.id for run in plan(validated(SWEEP, "-"))}
    arms = {"gossip": {"exchange.kind": "fedavg"}, "late": {"training.rounds": 2}, "alone": {}}
    after = {run.id for run in plan(validated({**SWEEP, "arms": arms}, "-"))}
    assert before < after


def test_validated_sweep_is_frozen_and_dumps_to_itself() -> None:
    sweep = validated(SWEEP, "-")
    assert SweepConfig.model_validate(sweep.model_dump()) == sweep


def test_a_launcher_is_a_kind_alone_and_processes_reserve_nothing() -> None:
    values = {"base": {}, "arms": {"only": {}}}
    assert validated({**values, "launcher": "ray"}, "-").launcher.kind == "ray"
    with pytest.raises(InvalidConfiguration, match="reserved by kind ray alone"):
        validated({**values, "launcher": {"cpus": 2}}, "-")


# Searches


def searched(field: str = "training.learning_rate", **changes: Any) -> SweepConfig:
    search = {"space": {field: {"low": 1, "high": 3}}, **changes}
    return validated({"base": SWEEP["base"], "search": search}, "sweep.yaml")


@pytest.mark.parametrize(
    "values",
    [{"low": 1, "high": 1}, {"low": 0, "high": 1, "log": True}, {"low": 1, "high": 2, "step": 0}],
)
def test_range_without_values_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfiguration):
        searched(space={"training.learning_rate": values})


@pytest.mark.parametrize("path", ["seed", "name", "a b", "x..y"])
def test_path_that_no_trial_may_set_is_refused(path: str) -> None:
    with pytest.raises(InvalidConfiguration):
        searched(path)


def test_range_is_of_whole_numbers_if_ends_and_steps_are() -> None:
    ranges = [{}, {"step": 2}, {"step": 0.5}, {"high": 3.5}]
    whole = [Range.model_validate({"low": 1, "high": 3, **each}).whole for each in ranges]
    assert whole == [True, True, False, False]


def test_search_optimises_the_metric_that_is_named_or_the_first_outcome() -> None:
    evaluation = {"tasks": ["geometry", "retrieval"]}
    config = RunConfig.model_validate({**SWEEP["base"], "evaluation": evaluation})
    for metric, found in ((None, "mrr"), ("recall_at_10", "recall_at_10"), ("mrr", "mrr")):
        search = searched(metric=metric).search
        assert search is not None
        assert _metric(search, [Planned("x", "alone", {}, 0, config)]).name == found
