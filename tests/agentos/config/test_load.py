"""A file and overrides become a run, or an error that names the field as the user wrote it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentos.config.field_errors import InvalidConfiguration
from agentos.config.load import apply_overrides, find, load, load_topology, read_yaml, ready_made
from agentos.data.printable_text import Problem
from agentos.data.yaml_values import dump
from protocols.errors import ConfigurationError
from protocols.topologies import TOPOLOGIES


def problems_of(tmp_path: Path, text: str, overrides: Sequence[str] = ()) -> tuple[Problem, ...]:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as caught:
        load(str(path), overrides)
    assert caught.value.origin == str(path)
    return caught.value.problems


def problem_of(tmp_path: Path, text: str, overrides: Sequence[str] = ()) -> Problem:
    (problem,) = problems_of(tmp_path, text, overrides)
    return problem


# Overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("training.rounds=4", ["training", "rounds"], 4),
        ("training.learning_rate=1e-3", ["training", "learning_rate"], 1e-3),
        ("name=other", ["name"], "other"),
        ("name=a=b", ["name"], "a=b"),
        ("data.source.label=null", ["data", "source", "label"], None),
        ("evaluation.tasks=[probe, knn]", ["evaluation", "tasks"], ["probe", "knn"]),
        ("topology={kind: ring, hops: 2}", ["topology"], {"kind": "ring", "hops": 2}),
        ("objectives.0.temperature=0.1", ["objectives", 0, "temperature"], 0.1),
        ("exchange=isolated", ["exchange"], "isolated"),
        ("name=[", ["name"], "["),
    ],
)
def test_override_sets_a_value(override: str, path: list[Any], value: Any) -> None:
    raw = {"name": "x", "objectives": [{"kind": "info_nce"}], "data": {"source": {"label": "y"}}}
    changed: Any = apply_overrides(raw, [override])
    for part in path:
        changed = changed[part]
    assert changed == value


def test_overrides_leave_the_original_alone() -> None:
    raw = {"topology": {"kind": "ring", "hops": 2}, "objectives": [{"kind": "info_nce"}]}
    apply_overrides(raw, ["topology.kind=grid", "objectives.0.weight=2"])
    assert raw == {"topology": {"kind": "ring", "hops": 2}, "objectives": [{"kind": "info_nce"}]}


def test_override_of_a_kind_drops_the_parameters_of_the_other() -> None:
    raw = {"topology": {"kind": "ring", "hops": 2}}
    assert apply_overrides(raw, ["topology.kind=grid"]) == {"topology": {"kind": "grid"}}


def test_override_with_the_same_kind_keeps_its_parameters() -> None:
    raw = {"topology": {"kind": "ring", "hops": 2}}
    assert apply_overrides(raw, ["topology.kind=ring"]) == raw


def test_override_gives_parameters_to_a_bare_kind() -> None:
    raw = {"exchange": "pseudo_labels"}
    changed = apply_overrides(raw, ["exchange.classes=4"])
    assert changed == {"exchange": {"kind": "pseudo_labels", "classes": 4}}


@pytest.mark.parametrize(
    ("overrides", "view"),
    [
        (["objectives.0.views.0.p=0.2"], {"kind": "word_deletion", "p": 0.2}),
        (["objectives.0.views.0={word_deletion: }"], {"word_deletion": None}),
        (["objectives.0.views.0.kind=crop"], {"kind": "crop"}),
        (
            ["objectives.0.views=[{crop: {shortest: 0.1}}]", "objectives.0.views.0.longest=0.2"],
            {"kind": "crop", "shortest": 0.1, "longest": 0.2},
        ),
    ],
)
def test_override_reaches_into_short_forms(overrides: list[str], view: dict[str, Any]) -> None:
    raw = {"objectives": [{"info_nce": {"views": [{"word_deletion": {"p": 0.1}}, "crop"]}}]}
    changed: Any = apply_overrides(raw, overrides)
    assert changed["objectives"][0]["views"][0] == view


def test_override_gives_parameters_to_a_bare_kind_in_a_list() -> None:
    changed = apply_overrides({"evaluation": {"tasks": ["probe"]}}, ["evaluation.tasks.0.x=1"])
    assert changed == {"evaluation": {"tasks": [{"kind": "probe", "x": 1}]}}


def test_override_takes_a_key_that_is_no_kind_for_a_field() -> None:
    raw = {"data": {"source": {"label": "y"}}, "training": {"rounds": 3}, "wrong": {"a": {}}}
    changed = apply_overrides(raw, ["data.anchors=3", "training.local_steps=2"])
    assert changed["data"] == {"source": {"label": "y"}, "anchors": 3}
    assert changed["training"] == {"rounds": 3, "local_steps": 2}
    assert changed["wrong"] == {"a": {}}


@pytest.mark.parametrize(
    "overrides",
    [
        ["topology.branching=3", "topology.kind=layered"],
        ["topology.branching=3", "topology=layered"],
        ["topology.branching=3", "topology={kind: layered}"],
    ],
)
def test_order_of_overrides_does_not_matter(overrides: list[str]) -> None:
    raw = {"topology": {"kind": "ring", "hops": 2}}
    expected = {"topology": {"kind": "layered", "branching": 3}}
    assert apply_overrides(raw, overrides) == expected
    assert apply_overrides(raw, overrides[::-1]) == expected


def test_order_of_nested_overrides_does_not_matter() -> None:
    raw = {"objectives": [{"kind": "info_nce", "views": [{"kind": "crop", "longest": 0.5}]}]}
    overrides = [
        "objectives.0.views.0.kind=dropout",
        "objectives.0.kind=other",
        "objectives.0.weight=2",
    ]
    expected = {"objectives": [{"kind": "other", "weight": 2}]}
    for order in (overrides[1:], overrides[:0:-1]):
        assert apply_overrides(raw, order) == expected


def test_last_of_two_equal_overrides_wins() -> None:
    assert apply_overrides({}, ["seed=1", "seed=2"]) == {"seed": 2}


@pytest.mark.parametrize("override", ["rounds", "=3", "", ".a=1", "a.=1", "a..b=1", "a b=1"])
def test_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an override") as caught:
        apply_overrides({}, [override])
    assert "training.rounds=4" in str(caught.value.expected)


@pytest.mark.parametrize(
    ("override", "actual"),
    [
        ("objectives.3.weight=2", "3"),
        ("objectives.first.weight=2", "first"),
        ("objectives.1={kind: info_nce}", "1"),
        ("evaluation.tasks.0=probe", "nothing is listed there"),
        ("evaluation.tasks.0.k=3", "nothing is listed there"),
    ],
)
def test_override_of_a_place_that_a_list_lacks_is_refused(override: str, actual: str) -> None:
    with pytest.raises(ConfigurationError, match="no such place") as caught:
        apply_overrides({"objectives": [{"kind": "info_nce"}]}, [override])
    assert caught.value.actual == actual
    assert "whole list" in str(caught.value.hint)


def test_overrides_reach_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("topology: {kind: ring, hops: 2}\nagents: {count: 6}\n", encoding="utf-8")
    config = load(str(path), ["agents.count=12", "topology.kind=layered", "topology.branching=3"])
    assert (config.agents.total, config.network().family) == (12, "layered")


# What is wrong, field by field


@pytest.mark.parametrize(
    ("text", "path", "closest"),
    [
        ("nam: x", "nam", "name"),
        ("data: {anchor: 3}", "data.anchor", "anchors"),
        ("data: {source: {kind: jsonl, path: a, txt: b}}", "data.source.txt", "text"),
        ("data: {tokenizer: {lower_case: no}}", "data.tokenizer.lower_case", "lowercase"),
        ("training: {local_stpes: 5}", "training.local_stpes", "local_steps"),
        ("topology: {kind: ring, hop: 2}", "topology.hop", "hops"),
        ("topology: {kind: ring, ring: 2}", "topology.ring", "kind"),
        ("agents: {encoder: {presett: nano}}", "agents.encoder.presett", "preset"),
        (
            "agents: {groups: [{count: 1}, {count: 1, encoder: {poling: cls}}]}",
            "agents.groups.1.encoder.poling",
            "pooling",
        ),
        ("agents: {groups: [{cuont: 1, count: 2}]}", "agents.groups.0.cuont", "count"),
        (
            "objectives: [{kind: info_nce}, {kind: info_nce, temprature: 1}]",
            "objectives.1.temprature",
            "temperature",
        ),
        (
            "objectives: [{kind: info_nce, views: [{kind: crop, longst: 0.5}]}]",
            "objectives.0.views.0.longst",
            "longest",
        ),
        (
            "objectives: [info_nce: {views: [crop, word_deletion: {q: 0.5}]}]",
            "objectives.0.views.1.q",
            None,
        ),
        ("evaluation: {tasks: [{kind: probe, seed: 1}]}", "evaluation.tasks.0.seed", None),
        ("runtime: {kind: local, timeout: 3}", "runtime.timeout", "timeout_s"),
    ],
)
def test_misspelt_key_is_named_with_its_path_and_the_closest(
    tmp_path: Path, text: str, path: str, closest: str | None
) -> None:
    problem = problem_of(tmp_path, text)
    assert (problem.path, problem.message) == (path, "unknown key")
    assert problem.closest == closest
    assert problem.allowed
    if closest:
        assert closest in problem.allowed.split(", ")


@pytest.mark.parametrize(
    ("text", "path", "given", "allowed", "closest"),
    [
        ("topology: rnig", "topology.kind", "rnig", "ring", "ring"),
        ("topology: {kind: layerd}", "topology.kind", "layerd", "layered", "layered"),
        ("exchange: {kind: 3}", "exchange.kind", "3", "anchor_contrast", None),
        ("data: {source: {kind: json}}", "data.source.kind", "json", "jsonl", "jsonl"),
        ("evaluation: {tasks: [geometri]}", "evaluation.tasks.0.kind", "geometri", "knn", "geometry"),
        (
            "objectives: [{kind: info_nce, views: [crpo]}]",
            *("objectives.0.views.0.kind", "crpo", "dropout", "crop"),
        ),
        (
            "objectives: [info_nce: {views: [word_delation: {p: 0.5}, crop]}]",
            *("objectives.0.views.0.kind", "word_delation", "word_swap", "word_deletion"),
        ),
        ("topology: {rnig: {hops: 2}}", "topology.kind", "rnig", "ring", "ring"),
        ("topology: {rnig: }", "topology.kind", "rnig", "ring", "ring"),
        ("agents: {encoder: {preset: nanoo}}", "agents.encoder.preset", "nanoo", "small", "nano"),
        ("training: {precision: fp16}", "training.precision", "fp16", "fp32", "bf16"),
    ],
)  # fmt: skip
def test_unknown_name_is_shown_with_those_allowed(
    tmp_path: Path, text: str, path: str, given: str, allowed: str, closest: str | None
) -> None:
    problem = problem_of(tmp_path, text)
    assert (problem.path, problem.given, problem.closest) == (path, given, closest)
    assert allowed in str(problem.allowed).split(", ")


@pytest.mark.parametrize(
    ("text", "path", "message", "given"),
    [
        ("training: {rounds: 0}", "training.rounds", "greater than or equal to 1", "0"),
        ("training: {rounds: many}", "training.rounds", "valid integer", "many"),
        ("training: {learning_rate: .nan}", "training.learning_rate", "finite", "nan"),
        ("exchange: {kind: anchor_contrast, temperature: 0}", "exchange.temperature", "greater than 0", "0"),
        ("agents: {count: 0}", "agents.count", "greater than or equal to 1", "0"),
        ("objectives: info_nce", "objectives", "must be a list", "info_nce"),
        ("objectives: []", "objectives", "the list should have at least 1 item", "[]"),
        ("data: 3", "data", "must be a mapping", "3"),
        ("training:", "training", "must be a mapping", "None"),
        ("agents: [1]", "agents", "must be a mapping", "[1]"),
        ("data: {source: jsonl}", "data.source.path", "is required", "{'kind': 'jsonl'}"),
        ("runtime: {kind: ray, device: gpu}", "runtime.device", "pattern", "gpu"),
        ("1: 2", "1", "keys should be strings", "1"),
    ],
)  # fmt: skip
def test_value_out_of_range_is_named_with_what_was_given(
    tmp_path: Path, text: str, path: str, message: str, given: str
) -> None:
    problem = problem_of(tmp_path, text)
    assert (problem.path, problem.given) == (path, given)
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("topology: 3", "topology", "ring"),
        ("exchange:", "exchange", "isolated"),
        ("topology: {hops: 2}", "topology", "grid"),
        ("runtime: {hosts: auto}", "runtime", "local"),
        ("exchange: {Kind: none}", "exchange", "fedavg"),
        ("objectives: [3]", "objectives.0", "info_nce"),
        ("data: {partition: [iid]}", "data.partition", "iid"),
        ("topology: {ring: 2}", "topology", "ring"),
        ("topology: {ring: {kind: grid}}", "topology", "ring"),
    ],
)
def test_missing_kind_is_shown_with_the_kinds(
    tmp_path: Path, text: str, path: str, allowed: str
) -> None:
    problem = problem_of(tmp_path, text)
    assert problem.path == path
    assert "no kind is given" in problem.message
    assert allowed in str(problem.allowed).split(", ")


def test_value_that_fits_no_branch_of_a_union_is_one_problem(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, "runtime: {kind: ray, hosts: many}")
    assert (problem.path, problem.given) == ("runtime.hosts", "many")
    assert "auto" in str(problem.allowed)
    assert "integer" in str(problem.allowed)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = "nam: x\ntraining: {rounds: 0, local_stpes: 1}\nobjectives: [{kind: info}]\n"
    paths = [problem.path for problem in problems_of(tmp_path, text)]
    assert sorted(paths) == ["nam", "objectives.0.kind", "training.local_stpes", "training.rounds"]


def test_conflict_between_fields_is_told_once(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, "data: {anchors: 2}")
    assert problem.path == "the run"
    assert "set data.anchors to at least 4" in problem.message


def test_problem_of_an_override_has_its_path(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, "name: x", ["trainning.rounds=3"])
    assert (problem.path, problem.closest) == ("trainning", "training")


def test_long_value_is_shortened(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, f"training: {{rounds: {'x' * 500}}}")
    assert len(str(problem.given)) == 80


def test_invalid_configuration_pickles(tmp_path: Path) -> None:
    error = InvalidConfiguration("run.yaml", [Problem("a.b", "unknown key", closest="c")])
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.origin, copy.problems, str(copy)) == (error.origin, error.problems, str(error))


# Files


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: x\ntraining: {rounds: 3\nseed: 1\n", "line 3"),
        ("name: x\ntraining:\n\trounds: 3\n", "line 3"),
        ("  a: 1\n b: 2\n", "line 2"),
        ("name: 'x\n", "line 2"),
    ],
)
def test_broken_yaml_is_refused_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"is not valid YAML: {where}, column") as caught:
        read_yaml(path)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["seed: 1\nname: x\nseed: 2\n", "topology: {kind: ring, kind: grid}"]
)
def test_key_given_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is given twice"):
        read_yaml(path)


def test_merge_keys_and_anchors_of_yaml_work(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    text = "a: &nano {preset: nano, pooling: cls}\nb: {<<: *nano, pooling: mean}\nc: *nano\n"
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path)["b"] == {"preset": "nano", "pooling": "mean"}


@pytest.mark.parametrize(
    ("text", "actual"),
    [("", "an empty file"), ("# x\n", "an empty file"), ("- a", "a list"), ("x", "a str")],
)
def test_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, actual: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not a configuration") as caught:
        load(str(path))
    assert caught.value.actual == actual
    assert "agentos show" in str(caught.value.hint)


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        load(str(path))
    assert "UTF-8" in str(caught.value.hint)


def test_python_objects_in_yaml_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not valid YAML: line 1"):
        read_yaml(path)


def test_missing_file_is_refused_with_the_ready_made_runs() -> None:
    with pytest.raises(ConfigurationError, match=r"no configuration 'nope\.yaml'") as caught:
        load("nope.yaml")
    assert "quickstart" in str(caught.value.expected)
    assert caught.value.hint == "check the path"


def test_misspelt_name_is_refused_with_the_closest() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("quikstart")
    assert caught.value.hint == "did you mean 'quickstart'?"


def test_folder_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(str(tmp_path))
    assert caught.value.actual == "a folder"


def test_ready_made_runs_are_found_by_name() -> None:
    assert "quickstart" in ready_made()
    for name, path in ready_made().items():
        assert find(name) == path
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"] == name


def test_file_comes_before_a_ready_made_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quickstart").write_text("name: mine", encoding="utf-8")
    assert load("quickstart").name == "mine"


# One topology


@pytest.mark.parametrize("kind", sorted(TOPOLOGIES.keys() - {"from_file"}))
def test_topology_is_built_by_its_kind(kind: str) -> None:
    assert load_topology(kind, []).kind == kind


def test_topology_takes_parameters() -> None:
    topology = load_topology("layered", ["levels=[1, 2, 4]", "branching=null"])
    assert topology.build(7, seed=0).levels == (0, 1, 1, 2, 2, 2, 2)


@pytest.mark.parametrize(
    ("kind", "parameters", "path", "closest"),
    [
        ("rng", [], "topology.kind", "ring"),
        ("ring", ["hop=2"], "topology.hop", "hops"),
        ("ring", ["hops=x"], "topology.hops", None),
    ],
)
def test_wrong_topology_is_refused(
    kind: str, parameters: list[str], path: str, closest: str | None
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        load_topology(kind, parameters)
    (problem,) = caught.value.problems
    assert (problem.path, problem.closest) == (path, closest)


# --- one meaning of a value ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.25e6", 1.25e6),
        ("1e-3", 1e-3),
        (".5E+2", 50.0),
        ("1_000", 1000),
        ("0o10", 8),
        ("0x10", 16),
        ("-3", -3),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e", "1e"),
        ("a,b [1].txt", "a,b [1].txt"),
        ("[a],b.jsonl", "[a],b.jsonl"),
        ("{a}/b.jsonl", "{a}/b.jsonl"),
        ("run #1/a.txt", "run #1/a.txt"),
        ('"[a,b]"', "[a,b]"),
    ],
)
def test_value_means_the_same_in_an_override_in_a_mapping_and_in_a_file(
    tmp_path: Path, text: str, value: object
) -> None:
    assert apply_overrides({}, [f"seed={text}"]) == {"seed": value}
    assert type(apply_overrides({}, [f"seed={text}"])["seed"]) is type(value)
    if not isinstance(value, str):
        assert apply_overrides({}, [f"clock={{a: {text}}}"]) == {"clock": {"a": value}}
        (tmp_path / "run.yaml").write_text(f"seed: {text}\n")
        assert read_yaml(tmp_path / "run.yaml") == {"seed": value}


@pytest.mark.parametrize("text", ["010", "-08", "00", "0_1"])
def test_leading_zero_is_refused_everywhere(tmp_path: Path, text: str) -> None:
    for override in (f"seed={text}", f"clock={{a: {text}}}", f"seed=[1, {text}]"):
        with pytest.raises(ConfigurationError, match="leading zero"):
            apply_overrides({}, [override])
    (tmp_path / "run.yaml").write_text(f"seed: {text}\n")
    with pytest.raises(ConfigurationError, match=r"line 1.*leading zero"):
        read_yaml(tmp_path / "run.yaml")


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "[" * 5000])
def test_override_that_cannot_be_built_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        apply_overrides({}, [f"name={text}"])


@pytest.mark.parametrize(
    "text", ["1e6", "1.25e6", "010", "1:30", "12", "2024-01-01", "on", "~", "a: b", "x #y"]
)
def test_text_that_looks_like_a_number_is_written_and_read_as_text(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "run.yaml").write_text(dump({"name": text, "rate": 1e-5, "count": 10}))
    assert read_yaml(tmp_path / "run.yaml") == {"name": text, "rate": 1e-5, "count": 10}
