"""Decisions of the monitor, and that a collapsed agent is paused in a real run."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agentos import RunConfig, Simulation
from agentos.records.reader import load_run
from agentos.rounds.health.collapse import (
    Health,
    HealthConfig,
    Reading,
    collapse,
    judge,
    open_hops,
    read,
)
from agentos.rounds.health.monitor import MAX_EDGES, HealthMonitor, health_monitor
from agentos.runtime.host_calls import Probe
from agents.training.agent import Agent
from agents.training.blueprint import Arm
from protocols.topologies import Direction, Hop
from protocols.topologies.layered import Layered
from protocols.topologies.peer import Ring

FINE, FLAT = Reading(0.4, -2.0), Reading(0.0, -0.001)
CONFIG = HealthConfig()


def normal(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# What a reading says


def test_reading_of_spread_embeddings_is_fine() -> None:
    found = read(normal(64, 128), tokens=7)
    assert found.tokens == 7
    assert found.rank_share > 0.9
    assert found.uniformity < -3
    assert collapse(found, CONFIG) is None


def test_reading_of_one_point_is_collapsed() -> None:
    rows = np.repeat(normal(1, 32), 64, axis=0)
    found = read(rows)
    assert found == Reading(0.0, 0.0)
    assert "RankMe" in str(collapse(found, CONFIG))


def test_reading_of_one_direction_is_collapsed_by_rank_alone() -> None:
    rows = normal(64, 1) * normal(1, 32)  # half of the texts point one way, half the other
    found = read(rows)
    assert found.uniformity < -0.5
    assert "(by RankMe) is 0," in str(collapse(found, CONFIG))


def test_reading_of_a_point_with_noise_is_collapsed_by_uniformity_alone() -> None:
    config = HealthConfig(min_rank_share=0.0)
    rows = 10 + 0.01 * normal(64, 32)
    assert "uniformity" in str(collapse(read(rows), config))
    assert collapse(read(rows), HealthConfig(min_rank_share=0.0, max_uniformity=0.0)) is None


def test_reading_of_numbers_that_are_not_finite_is_collapsed() -> None:
    rows = normal(8, 4)
    rows[3, 2] = np.nan
    found = read(rows)
    assert math.isnan(found.rank_share)
    assert collapse(found, CONFIG) == "its embeddings are not finite"


@pytest.mark.parametrize(
    ("reading", "fine"),
    [
        (Reading(0.02, -2.0), True),
        (Reading(0.0199, -2.0), False),
        (Reading(0.4, -0.002), True),
        (Reading(0.4, -0.0019), False),
    ],
)
def test_limits_are_inclusive(reading: Reading, fine: bool) -> None:
    assert (collapse(reading, CONFIG) is None) == fine


# Who is paused


def test_agents_are_paused_from_the_look_that_finds_them_to_the_one_that_does_not() -> None:
    looks = [
        {0: FINE, 1: FLAT, 2: FINE},
        {0: FINE, 1: FLAT, 2: FLAT},
        {0: FINE, 1: FINE, 2: FLAT},
        {0: FINE, 1: FINE, 2: FINE},
    ]
    paused: Any = ()
    told = []
    for readings in looks:
        health = judge(Health(readings, {}, {}), paused, CONFIG)
        paused = health.paused
        told.append((sorted(paused), health.fallen, health.recovered))
    assert told == [([1], (1,), ()), ([1, 2], (2,), ()), ([2], (), (1,)), ([], (), (2,))]


def test_hops_lose_the_edges_of_paused_agents_and_no_other() -> None:
    ring = Ring().build(5, seed=0).hops(1)
    (hop,) = open_hops(ring, {1})
    assert {agent for edge in hop.edges for agent in edge} == {0, 2, 3, 4}
    assert set(ring[0].edges) - set(hop.edges) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert open_hops(ring, ()) == ring


def test_hop_that_nobody_is_left_in_is_dropped_and_the_others_keep_their_index() -> None:
    network = Layered(levels=[1, 1, 2]).build(4, seed=0)
    indices = [hop.index for hop in open_hops(network.hops(1), {0})]
    assert indices == [0, 3]
    assert open_hops(network.hops(1), {1}) == ()
    assert Hop(index=0, direction=Direction.UP, edges=((2, 1), (3, 1))) in network.hops(1)


# The watch


class Patient:
    """A session whose agents embed what they are told to."""

    def __init__(self, rows: Mapping[int, Any]) -> None:
        self.rows = rows

    def call_all(self, call: Probe[Any]) -> Any:
        measure, shown = call.measure, call.shown
        answers = {a: (measure(r, 5), r if a in shown else None) for a, r in self.rows.items()}
        return {0: {a: v for a, v in answers.items() if a % 2}, 1: {2: answers[2], 0: answers[0]}}


def test_watch_compares_neighbours_and_warns_of_the_fallen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = HealthMonitor(CONFIG, ("text",) * 20, edges=((0, 1), (0, 2)))
    fine = normal(20, 8)
    flat = np.ones((20, 8), np.float32)
    session: Any = Patient({0: fine, 1: 3 * fine[:, ::-1], 2: flat, 3: fine})
    with caplog.at_level(logging.WARNING, logger="agentos.rounds.health.monitor"):
        health = watch.check(4, session)
        again = watch.check(5, session)
        session.rows = {**session.rows, 2: fine}
        watch.check(6, session)
    assert list(health.readings) == [0, 1, 2, 3]
    assert health.cka == {(0, 1): 1.0, (0, 2): 0.0}
    assert (health.fallen, again.fallen) == ((2,), ())
    assert watch.paused == frozenset()
    assert [message.split(":")[0] for message in caplog.messages] == [
        "agent-2, round 4",
        "agent-2, round 6",
    ]
    assert caplog.messages[0].endswith("its exchange is paused")


@pytest.mark.parametrize(("every", "due"), [(1, [1, 2, 3, 4]), (2, [2, 4])])
def test_watch_is_due_every_so_often(every: int, due: list[int]) -> None:
    watch = HealthMonitor(CONFIG, ("text",), (), every)
    assert [round for round in range(1, 5) if watch.is_due(round)] == due


@pytest.mark.parametrize(
    ("every", "anchors", "texts"), [(3, 40, 24), (1, 2, 2), (1, 1, None), (0, 40, None)]
)
def test_watch_reads_some_anchors_and_is_off_without_two(
    every: int, anchors: int, texts: int | None
) -> None:
    corpus: Any = SimpleNamespace(
        anchors=np.arange(anchors), texts=lambda rows: [f"text {row}" for row in rows]
    )
    network = Ring().build(MAX_EDGES + 9, seed=0)
    watch = health_monitor(HealthConfig(texts=24), every, corpus, network, seed=0)
    if texts is None:
        assert watch is None
        return
    assert watch is not None
    assert (len(set(watch.texts)), watch.every) == (texts, every)
    assert len(set(watch.edges)) == MAX_EDGES
    assert set(watch.edges) <= set(network.edges)


def test_checks_keep_to_their_share_of_the_operations_of_training(
    small: Callable[..., RunConfig],
) -> None:
    # Two views of 12 documents of 16 tokens in each of 2 steps, three times the operations of embedding.
    trained = 3 * 2 * 2 * 12 * 16
    checked = 32 * 64  # anchors, fewer than health.texts, of evaluation.max_length tokens
    assert small(health={"share": checked / trained}).health_interval == 1
    assert small(health={"share": checked / trained / 4}).health_interval == 4
    assert small(health={}).health_interval == 30
    assert small(health={"every": 7}).health_interval == 7
    assert small(health={"every": 0}).health_interval == 0


# In a run


def rows_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let an agent end the training of a round with an encoder that says one thing of all texts."""

    def poison(agent: int, round: int) -> None:
        train = Agent.train

        def then_collapse(self: Agent, arm: Arm, now: int, batches: Any = None) -> Any:
            metrics = train(self, arm, now, batches)
            if (self.id, now) == (agent, round) and arm.exchange.kind != "isolated":
                kept[self.id] = self.parameters.clone()
                with torch.no_grad():
                    self.parameters.zero_()
                    # The last normalisation's bias is all that is left of any text.
                    for name, parameter in self.encoder.backbone.named_parameters():
                        if name.endswith("LayerNorm.bias"):
                            parameter.fill_(1.0)
            elif (self.id, now) == (agent, round + 1) and self.id in kept:
                self.parameters.copy_(kept.pop(self.id))
            return metrics

        kept: dict[int, torch.Tensor] = {}
        monkeypatch.setattr(Agent, "train", then_collapse)

    return poison


@pytest.mark.slow
def test_collapsed_agent_is_paused_until_it_recovers(
    small: Callable[..., RunConfig],
    cache: Path,
    tmp_path: Path,
    poisoned: Callable[[int, int], None],
) -> None:
    poisoned(1, 2)
    training = {**small().training.model_dump(), "rounds": 3}
    evaluation = {"every": 9, "tasks": ["retrieval"], "documents": 40, "between_agents": False}
    losses = {}
    for name, health in (("watched", {"every": 1}), ("unwatched", {"every": 0})):
        config = small(
            topology="ring",
            exchange="fedavg",
            training=training,
            health=health,
            evaluation=evaluation,
            baseline={"isolated": False},
            runtime={"kind": "local", "stack": "off"},  # the step of one agent is poisoned
        )
        Simulation(config, out=tmp_path / name, cache=cache).run()
        after = [row for row in rows_of(tmp_path / name) if row["round"] == 3]
        losses[name] = {row["agent"]: row["loss"] for row in after}
    rows = rows_of(tmp_path / "watched")
    paused = {(r["agent"], r["round"]) for r in rows if r.get("paused")}
    assert paused == {("agent-1", 2)}
    silent = [r for r in rows if r["round"] and r["bytes_sent"] == r["bytes_received"] == 0]
    assert {(r["agent"], r["round"]) for r in silent} == {("agent-1", 2)}
    (look,) = [look for look in load_run(tmp_path / "watched").health if look["paused"]]
    assert look["round"] == 2
    assert "RankMe" in look["paused"]["agent-1"]
    # What it would have sent makes its neighbours, and them alone, learn from another place.
    for agent, loss in losses["watched"].items():
        assert (loss < losses["unwatched"][agent]) == (agent in ("agent-0", "agent-2"))
    page = (tmp_path / "watched" / "report.html").read_text("utf-8")
    assert "Paused rounds:" in page
    assert "health-cka" in page


@pytest.mark.slow
def test_watch_counts_its_tokens_and_is_off_without_anchors_or_exchange(
    small: Callable[..., RunConfig], cache: Path, tmp_path: Path
) -> None:
    training = {**small().training.model_dump(), "rounds": 1}
    evaluation = {"every": 9, "tasks": ["retrieval"], "documents": 40, "between_agents": False}

    def tokens(name: str, **parts: Any) -> Any:
        config = small(
            training=training, evaluation=evaluation, baseline={"isolated": False}, **parts
        )
        Simulation(config, out=tmp_path / name, cache=cache).run()
        rows = [row for row in rows_of(tmp_path / name) if row["round"]]
        return [row["embedded_tokens"] for row in rows], ["paused" in row for row in rows]

    weights: dict[str, Any] = {"exchange": "fedavg"}
    watched, flags = tokens("watched", **weights, health={"every": 1, "texts": 8})
    assert all(flags)
    # Eight texts, of 16 to 64 tokens each, in every round; averaging weights embeds nothing itself.
    assert all(8 * 16 <= count <= 8 * 64 for count in watched)
    for name, parts in (
        ("off", {**weights, "health": {"every": 0}}),
        ("alone", {"exchange": "isolated"}),
        ("bare", {**weights, "data": {**small().data.model_dump(), "anchors": 0}}),
    ):
        embedded, flags = tokens(name, **parts)
        assert set(embedded) == {0}, name
        assert not any(flags), name
        assert load_run(tmp_path / name).health == []
