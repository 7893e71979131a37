"""The configuration: what it accepts, what it fills in, and what it refuses, with which words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import networkx as nx
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from agentos import RunConfig
from agentos.config.load import ready_made
from agentos.config.run import AgentsConfig
from agentos.data.partition import PARTITIONS
from agentos.data.sources import SOURCES
from agentos.data.sources.base import Document, Source
from agentos.evaluation import TASKS
from agentos.runtime import RUNTIMES
from agents.exchange import EXCHANGES
from agents.exchange.isolated import Isolated
from agents.objectives import OBJECTIVES
from agents.objectives.base import LossOutput, Objective, Step
from agents.views import VIEWS
from protocols.errors import TopologyError
from protocols.topologies import TOPOLOGIES, Network, PeerNetwork, Topology

ISSUE_EXAMPLE = """
name: six-readers
seed: 0
data:
  source: {kind: parquet, path: train.parquet, text: text, label: label}
  partition: {kind: dirichlet, alpha: 0.3}
  anchors: 256
agents: {count: 6, encoder: {preset: tiny}}
topology: {kind: layered, branching: 2}
objectives: [{kind: info_nce, views: [crop], temperature: 0.05}]
exchange: {kind: anchor_contrast, weight: 1.0}
training: {rounds: 8, local_steps: 50, batch_size: 64, max_length: 32, learning_rate: 1.0e-3, precision: fp32}
evaluation: {every: 4, tasks: [probe, geometry]}
runtime: {kind: ray, hosts: auto}
"""
NEEDED: Mapping[str, dict[str, Any]] = {
    "text": {"path": "texts"},
    "jsonl": {"path": "a.jsonl"},
    "csv": {"path": "a.csv"},
    "parquet": {"path": "a.parquet"},
    "hf": {"path": "imdb"},
    "shards": {"sizes": [1, 1, 1, 1, 1, 1]},
    "layered": {"branching": 2},
    "sts": {"path": "pairs.jsonl"},
    "pair_classification": {"path": "pairs.jsonl"},
    "hybrid": {"strategies": ["anchor_contrast", "anchor_similarity"]},
    "cross_negatives": {"shares_private_embeddings": True},
    "labelled": {"classes": 2},
}
"""Parameters without which a kind cannot be used."""
COMPANY: Mapping[str, dict[str, Any]] = {
    "secure_fedavg": {"topology": "master_slave"},
    "secure_pseudo_labels": {"topology": "master_slave"},
    "causal_lm": {"agents": {"encoder": {"preset": "tiny-decoder"}}},
    "moon": {"objectives": ["info_nce", "moon"], "exchange": "fedavg"},
    "labelled": {"data": {"private_labels": {}}},
    "own_labels": {
        "objectives": ["info_nce", {"kind": "labelled", "classes": 2}],
        "data": {"private_labels": {}},
    },
}
"""Other fields of the run that a kind needs to differ from the default."""
PLACES: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("data", "source"): SOURCES,
    ("data", "partition"): PARTITIONS,
    ("topology",): {kind: cls for kind, cls in TOPOLOGIES.items() if kind != "from_file"},
    ("objectives", "0"): OBJECTIVES,
    ("exchange",): EXCHANGES,
    ("evaluation", "tasks", "0"): TASKS,
    ("runtime",): RUNTIMES,
}


def test_defaults_make_six_tiny_agents_on_a_ring_of_ray_hosts() -> None:
    config = RunConfig()
    assert (config.agents.total, config.topology.kind, config.runtime.kind) == (6, "ring", "ray")
    assert config.exchange.kind == "anchor_contrast"
    assert [group.encoder.preset for group in config.agents.resolved] == ["tiny"]


@pytest.mark.parametrize(
    ("place", "kind"), [(place, kind) for place, table in PLACES.items() for kind in table]
)
def test_resolved_run_validates_to_an_equal_run(place: tuple[str, ...], kind: str) -> None:
    value: Any = {"kind": kind, **NEEDED.get(kind, {})}
    for part in reversed(place):
        value = [value] if part == "0" else {part: value}
    config = RunConfig.model_validate({**value, **COMPANY.get(kind, {})})
    resolved = config.resolved()
    assert RunConfig.model_validate(resolved) == config
    assert RunConfig.model_validate(yaml.safe_load(yaml.safe_dump(resolved))) == config


@pytest.mark.parametrize("agents", [{}, {"groups": [{"count": 2}, {"count": 1}]}, {"count": 3}])
def test_resolved_agents_validate_to_equal_agents(agents: dict[str, Any]) -> None:
    config = RunConfig.model_validate({"agents": agents})
    assert RunConfig.model_validate(config.resolved()) == config


def test_every_default_is_in_the_resolved_run() -> None:
    resolved = RunConfig().resolved()
    assert resolved["exchange"]["temperature"] == 0.05
    assert resolved["objectives"][0]["views"][0]["kind"] == "crop"
    assert resolved["agents"]["encoder"]["preset"] == "tiny"
    assert resolved["data"]["tokenizer"]["vocabulary_size"] == 8192


def test_example_of_the_contract_validates() -> None:
    config = RunConfig.model_validate(yaml.safe_load(ISSUE_EXAMPLE))
    assert config.name == "six-readers"
    assert config.network().family == "layered"
    assert [task.kind for task in config.evaluation.tasks] == ["probe", "geometry"]
    assert config.training.learning_rate == 1e-3


@pytest.mark.parametrize("name", ready_made())
def test_ready_made_run_validates(name: str) -> None:
    values = yaml.safe_load(ready_made()[name].read_text(encoding="utf-8"))
    assert RunConfig.model_validate(values).name == name


def test_count_and_encoder_are_one_group() -> None:
    encoder = {"preset": "nano", "pooling": "cls"}
    short = AgentsConfig.model_validate({"count": 4, "encoder": encoder})
    long = AgentsConfig.model_validate({"groups": [{"count": 4, "encoder": encoder}]})
    assert short.resolved == long.resolved
    assert short.total == long.total == 4


def test_groups_number_their_agents_one_after_another() -> None:
    groups = [{"count": 2, "encoder": {"preset": "nano"}}, {"count": 1, "encoder": {"path": "x"}}]
    config = RunConfig.model_validate({"agents": {"groups": groups, "count": 3}})
    assert [encoder.origin for encoder in config.society().encoders] == ["nano", "nano", "x"]


NANO_AND_TINY = {"groups": [{"count": 1, "encoder": {"preset": "nano"}}, {"count": 2}]}
LABELS_OF_FOUR: dict[str, Any] = {
    "objectives": ["info_nce", {"kind": "labelled", "classes": 4}],
    "data": {"private_labels": {}},
}
REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "weights of unlike encoders": (
        {"exchange": "fedavg", "agents": NANO_AND_TINY},
        r"needs one encoder for all agents, here they differ \(nano, tiny\); use an exchange of",
    ),
    "no anchors": ({"data": {"anchors": 0}}, "set data.anchors to at least 4"),
    "anchors without a batch": (
        {"training": {"batch_size": 8}},
        "leaves fewer than 3 anchors in a batch; raise one of them",
    ),
    "votes of own labels that nothing learns": (
        {"exchange": {"kind": "fedmd", "labels": "own"}},
        "exchange.labels is own, and no objective learns labels; add {kind: labelled, classes: ...}",
    ),
    "own labels evaluated that nothing learns": (
        {"evaluation": {"tasks": ["own_labels"]}},
        "evaluation.tasks asks for own_labels, and no objective learns labels; add {kind: labelled",
    ),
    "another number of classes than labels that are learnt": (
        {**LABELS_OF_FOUR, "exchange": {"kind": "dsfl", "labels": "own", "classes": 5}},
        "exchange.classes is 5, and the objective labelled has 4 classes; give both",
    ),
    "labels that nothing learns": (
        {"data": {"private_labels": {}}},
        "the objective labelled learns the labels of data.private_labels; set both, or neither",
    ),
    "an objective without labels": (
        {"objectives": LABELS_OF_FOUR["objectives"]},
        "the objective labelled learns the labels of data.private_labels; set both, or neither",
    ),
    "an audit on labels that are private": (
        {
            **LABELS_OF_FOUR,
            "exchange": {
                "kind": "pseudo_labels",
                "labels": "own",
                "classes": 4,
                "fusion": "validation_weighted",
            },
        },
        "validation_weighted needs public classes of the anchors, and with exchange.labels own",
    ),
    "abstention from a vote that must choose": (
        {"exchange": {"kind": "pseudo_labels", "abstain": 0.5, "fusion": "majority"}},
        "the fusion majority reads each as a vote for the first class; set exchange.abstain to 0",
    ),
    "more classes than anchors": (
        {"exchange": {"kind": "pseudo_labels", "classes": 40}, "data": {"anchors": 79}},
        "exchange.classes 40 needs at least 80 anchors, and data.anchors is 79; raise",
    ),
    "a direction among peers": (
        {"exchange": {"kind": "embedding_distillation", "direction": "down"}, "topology": "ring"},
        "exchange.direction=down lets the root of a tree teach, and peers have no root",
    ),
    "answers that no agent can give": (
        {
            "exchange": {
                "kind": "cross_negatives",
                "shares_private_embeddings": True,
                "mode": "differentiable",
            },
            "topology": "one_peer_exponential",
            "training": {"local_steps": 1},
        },
        "an agent receives from agents that it does not send to in the same round",
    ),
    "private embeddings without consent to show them": (
        {"exchange": "cross_negatives"},
        "set exchange.shares_private_embeddings to true if they may see them",
    ),
    "simcse without dropout": (
        {
            "objectives": ["simcse"],
            "agents": {"encoder": {"preset": "nano", "dropout": 0.0}},
        },
        "objective simcse tells its views apart by dropout alone",
    ),
    "neighbours of an exchange that brings none": (
        {"objectives": [{"kind": "info_nce", "neighbours": True}], "exchange": "isolated"},
        "exchange.kind=isolated brings none; set exchange.kind to anchor_contrast",
    ),
    "parameters of an exchange that brings none": (
        {"objectives": ["info_nce", "moon"]},
        "exchange.kind=anchor_contrast brings none; set exchange.kind to fedavg or fedprox",
    ),
    "an objective with nothing to look back at": (
        {"objectives": ["moon"], "exchange": "fedavg"},
        "moon learns nothing before the first exchange; add another objective",
    ),
    "too few neighbours to find a poisoned one": (
        {"exchange": {"kind": "fedavg", "fusion": "krum"}, "topology": "ring"},
        "fusion krum needs 5 vectors wherever agents fuse, and agent-0 has 3, its own included; use",
    ),
    "too few children to find a poisoned one": (
        {"exchange": {"kind": "diloco", "fusion": "median"}, "topology": "layered"},
        "fusion median needs 3 vectors wherever agents fuse, and agent-2 has 2, its own included; use",
    ),
    "all agents left out": (
        {"exchange": {"fedavg": {"fusion": {"trimmed_mean": {"share": 0.1}}}}},
        "fusion trimmed_mean needs 10 vectors wherever agents fuse, and agent-0 has 3",
    ),
    "views that dropout alone tells apart": (
        {
            "objectives": [{"kind": "info_nce", "views": ["dropout"]}],
            "agents": {"encoder": {"preset": "nano", "dropout": 0.0}},
        },
        "encoder.dropout is 0; set it to 0.1, or use info_nce with the view 'crop'",
    ),
    "a decoder that sees both sides": (
        {
            "objectives": ["masked_lm"],
            "agents": {
                "groups": [{"count": 2}, {"count": 1, "encoder": {"preset": "nano-decoder"}}]
            },
        },
        "masked_lm needs a masked .* nano-decoder is a causal one; use preset nano, or .* causal_lm",
    ),
    "an encoder that sees the past alone": (
        {"objectives": ["info_nce", "causal_lm"]},
        "causal_lm needs a causal .* tiny is a masked one; use preset tiny-decoder, or .* masked_lm",
    ),
    "a topology that cannot be": (
        {"topology": {"kind": "random_regular", "k": 9}},
        r"topology: random_regular .*k below the number of agents.*lower k",
    ),
    "levels of other numbers": (
        {"topology": {"kind": "layered", "levels": [1, 2]}, "agents": {"count": 6}},
        "topology: ",
    ),
    "two origins": (
        {"agents": {"encoder": {"preset": "nano", "path": "x"}}},
        "give one of preset, path and name, not preset and path",
    ),
    "hosts by two counts": (
        {"runtime": {"kind": "ray", "hosts": 2, "agents_per_host": 1}},
        "give either hosts or agents_per_host, not both",
    ),
    "encoder and groups": (
        {"agents": {"encoder": {"preset": "nano"}, "groups": [{"count": 2}]}},
        "give either encoder or groups, not both",
    ),
    "count unlike the groups'": (
        {"agents": {"count": 3, "groups": [{"count": 2}]}},
        "count is 3, but the groups hold 2 agents; drop count",
    ),
    "a task twice": ({"evaluation": {"tasks": ["probe", "probe"]}}, "each task at most once"),
    "no objective": ({"objectives": []}, "at least 1 item"),
    "a name that is no file name": ({"name": "../up"}, "should match pattern"),
    "an infinite rate": ({"training": {"learning_rate": float("inf")}}, "finite number"),
    "an unknown key": ({"seeds": 1}, "Extra inputs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_run_is_refused_with_the_reason(case: str) -> None:
    values, reason = REFUSED[case]
    with pytest.raises(ValidationError, match=reason):
        RunConfig.model_validate(values)


def test_unlike_encoders_may_exchange_what_is_not_weights() -> None:
    for kind in (kind for kind, cls in EXCHANGES.items() if not cls.changes_parameters):
        exchange = {"kind": kind, **NEEDED.get(kind, {})}
        # A master suits all of them; some need one.
        values = {"exchange": exchange, "agents": NANO_AND_TINY, "topology": "master_slave"}
        assert RunConfig.model_validate(values).exchange.kind == kind


def test_blanks_need_an_objective_that_trains_the_language_model() -> None:
    views = [{"word_replacement": {"source": "masked_lm"}}, "crop"]
    contrast = {"kind": "info_nce", "views": views}
    with pytest.raises(ValidationError, match=r"add \{kind: masked_lm\} to objectives"):
        RunConfig.model_validate({"objectives": [contrast]})
    config = RunConfig.model_validate({"objectives": [contrast, "masked_lm"]})
    assert config.objectives[0].views[0].needs_infilling  # type: ignore[attr-defined]
    assert RunConfig.model_validate(config.resolved()) == config


def test_run_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().seed = 1


def test_schema_holds_every_kind_and_every_description() -> None:
    schema = json.loads(json.dumps(RunConfig.model_json_schema()))
    constants = {
        definition["properties"]["kind"].get("const")
        for definition in schema["$defs"].values()
        if "kind" in definition.get("properties", {})
    }
    for table in (*PLACES.values(), TOPOLOGIES, VIEWS):
        assert table.keys() <= constants
    assert "description" in schema["$defs"]["TrainingConfig"]["properties"]["rounds"]


@pytest.fixture(scope="module")
def schema() -> Any:
    """The schema of a run, which is itself checked once."""
    validators = pytest.importorskip("jsonschema").validators  # Ray brings it
    schema = RunConfig.model_json_schema()
    kind = validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


@pytest.mark.parametrize("name", ["contract", *ready_made()])
def test_schema_accepts_what_validates(schema: Any, name: str) -> None:
    text = ISSUE_EXAMPLE if name == "contract" else ready_made()[name].read_text(encoding="utf-8")
    schema.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "values",
    [
        {"objectives": [{"info_nce": {"views": [{"word_deletion": {"p": 0.1}}, "crop"]}}]},
        {"topology": {"ring": {"hops": 2}}, "exchange": {"fedavg": None}},
        {"data": {"source": {"jsonl": {"path": "texts.jsonl"}}}, "runtime": {"local": {}}},
    ],
)
def test_schema_accepts_short_forms(schema: Any, values: dict[str, Any]) -> None:
    schema.validate(values)
    RunConfig.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"topology": {"ring": {"hopps": 2}}},
        {"topology": {"rnig": {"hops": 2}}},
        {"data": {"source": {"jsonl": None}}},
        {"topology": {"kind": "ring", "hopps": 2}},
        {"topology": {"hops": 2}},
        {"topology": "rings"},
        {"data": {"source": "jsonl"}},
        {"training": {"rounds": 0}},
        {"runtime": {"kind": "ray", "hosts": 0}},
    ],
)
def test_schema_refuses_what_does_not_validate(schema: Any, values: dict[str, Any]) -> None:
    with pytest.raises(pytest.importorskip("jsonschema").ValidationError):
        schema.validate(values)
    with pytest.raises(ValidationError):
        RunConfig.model_validate(values)


class Wheel(Topology):
    kind: Literal["wheel"] = "wheel"

    def _network(self, agents: int, seed: int) -> Network:
        return PeerNetwork.of(nx.wheel_graph(agents))


class Broken(Topology):
    kind: Literal["ring"] = "ring"  # as a shipped one

    def _network(self, agents: int, seed: int) -> Network:
        raise TopologyError("the wheel is broken")


class Silence(Isolated):
    loudness: float = 0.0


class Still(Objective):
    kind: Literal["still"] = "still"

    def prepare(self, draft: Any) -> Any:
        raise NotImplementedError

    def loss(self, step: Step) -> LossOutput:
        raise NotImplementedError


class Sayings(Source):
    kind: Literal["sayings"] = "sayings"

    def documents(self) -> Iterator[Document]:
        yield Document("0", "still waters run deep")

    def fingerprint(self) -> str:
        return "sayings"


def test_instances_of_ones_own_pass_straight_through() -> None:
    topology, exchange, objective, source = Wheel(), Silence(loudness=2.0), Still(), Sayings()
    config = RunConfig(
        topology=topology,
        exchange=exchange,
        objectives=(objective,),
        data={"source": source},
    )
    assert config.topology is topology
    assert config.exchange is exchange
    assert config.objectives[0] is objective
    assert config.data.source is source
    assert config.network().max_degree == 5
    resolved = config.resolved()
    codec = {"kind": "fp32"}
    expected = {
        "kind": f"{Silence.__module__}:Silence",
        "every": 1,
        "first": 1,
        "codec": codec,
        "privacy": None,
        "anchor_share": 0.0,
        "loudness": 2.0,
    }
    assert resolved["exchange"] == expected
    assert resolved["topology"] == {"kind": f"{Wheel.__module__}:Wheel"}


def test_own_topology_with_a_shipped_name_is_not_replaced() -> None:
    with pytest.raises(ValidationError, match="the wheel is broken"):
        RunConfig(topology=Broken())


def test_instance_of_another_extension_point_is_refused() -> None:
    with pytest.raises(ValidationError, match="instance of Topology"):
        RunConfig.model_validate({"topology": Still()})


def test_network_is_the_same_every_time_and_follows_the_seed() -> None:
    def edges(seed: int) -> Any:
        values = {"topology": {"kind": "erdos_renyi", "p": 0.4}, "agents": {"count": 12}}
        return RunConfig.model_validate({**values, "seed": seed}).network().edges

    assert edges(3) == edges(3)
    assert len({edges(seed) for seed in range(5)}) > 1


def test_society_tells_a_strategy_what_it_asks() -> None:
    values = {"data": {"anchors": 64}, "training": {"batch_size": 32}, "agents": {"count": 2}}
    society = RunConfig.model_validate(values).society()
    assert (len(society.encoders), society.anchors, society.batch_size) == (2, 64, 32)
    assert np.isclose(RunConfig().exchange.anchor_fraction, 0.25)


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ({"kind": "byzantine", "agents": [0, 1]}, False),
        ({"kind": "byzantine", "agents": [0, 1, 2]}, True),
        ({"kind": "poison_labels", "agents": [0, 1, 2]}, False),
        ({"kind": "stall", "agents": [0, 1, 2], "seconds": 1.0}, False),
    ],
)
def test_more_byzantine_agents_than_the_fusion_tolerates_are_refused(fault, refused):
    values = {
        "agents": {"count": 6},
        "topology": "complete",
        "exchange": {"kind": "fedavg", "fusion": "median"},
        "faults": [fault],
    }
    if refused:
        with pytest.raises(ValidationError, match="median tolerates 2 poisoned"):
            RunConfig.model_validate(values)
        # One after the other they are never too many.
        each = [{**fault, "agents": [agent], "rounds": agent + 1} for agent in fault["agents"]]
        RunConfig.model_validate({**values, "faults": each})
    else:
        RunConfig.model_validate(values)
