"""Societies that do not wait, over hosts that only write down what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from agentos import RunConfig
from agentos.records.reports import RoundReport
from agentos.rounds.asynchronous import AsynchronousCoordinator
from agentos.rounds.base import RoundServices, RoundsPlan
from agentos.rounds.clock.config import Asynchronous
from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.clock.timing import Timing
from agentos.rounds.health.collapse import Reading
from agentos.rounds.health.monitor import HealthMonitor
from agentos.runtime import Session
from agentos.runtime.host_calls import (
    Answer,
    Begin,
    Compose,
    Evaluate,
    HostCall,
    Merge,
    TrainRounds,
)
from agents.hosting.delivery import Delivery, Outbox
from agents.training.blueprint import Arm, Blueprint
from protocols.messages import Envelope
from protocols.topologies import Network

SIZE = 100
Heard = dict[tuple[int, int, int], dict[int, int]]
"""By agent, round and hop: the round of each sender that was merged."""


class Scribe(Session):
    """Answers as hosts do, and writes down who merged what."""

    def __init__(self, placement: Mapping[int, int], ill: Mapping[int, set[int]]) -> None:
        self.placement = dict(placement)
        self.ill = ill
        self.fake: Any = FakeHost(ill)
        self.calls: list[type[HostCall[Any]]] = []

    def build(self, blueprint: Blueprint) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        self.calls.extend({type(call) for call in calls.values()})
        hosts = sorted(calls, reverse=True)  # they may answer in any order
        return {host: calls[host].run(self.fake) for host in hosts}


class FakeHost:
    """A host whose agents note what they merge."""

    def __init__(self, ill: Mapping[int, set[int]]) -> None:
        self.ill = ill
        self.heard: Heard = {}

    def begin(self, arm: Arm) -> None:
        self.round: dict[int, int] = {}

    def train_rounds(self, rounds: dict[int, int]) -> dict[int, dict[str, float]]:
        self.round.update(rounds)
        return {agent: {"loss": float(round), "steps": 1.0} for agent, round in rounds.items()}

    def evaluate(self, agents: list[int]) -> dict[int, dict[str, float]]:
        # What an agent is worth shows when it was asked.
        return {agent: {"mrr": float(self.round.get(agent, 0))} for agent in agents}

    def probe(self, texts: Any, measure: Any, shown: Any, agents: list[int]) -> Any:
        fine, collapsed = Reading(0.5, -2.0, tokens=7), Reading(0.0, 0.0, tokens=7)
        return {
            a: (collapsed if self.round[a] in self.ill.get(a, ()) else fine, np.eye(3, 2))
            for a in agents
        }

    def compose(self, turns: dict[int, Any], part: int, lies: Any) -> Outbox:
        envelopes = tuple(
            Envelope(a, turn.round, turn.hop, "embeddings") for a, (turn, _) in turns.items()
        )
        recipients = tuple(to for _, to in turns.values())
        sizes = (SIZE,) * len(envelopes)
        handle = [(e.sender, e.round, e.hop) for e in envelopes]
        return Outbox(handle, envelopes, recipients, sizes, sizes)

    def merge(
        self, handles: list[Any], deliveries: dict[int, Delivery], part: int
    ) -> dict[int, list[str]]:
        for agent, delivery in deliveries.items():
            turn = delivery.turn
            said = [handles[outbox][index] for outbox, index in delivery.messages]
            assert {hop for _, _, hop in said} <= {turn.hop}
            assert {sender for sender, _, _ in said} <= delivery.senders
            assert delivery.staleness is not None
            found = {sender: round for sender, round, _ in said}
            assert len(found) == len(said)
            self.heard[agent, turn.round, turn.hop] = found
        return {agent: [] for agent in deliveries}


class Played:
    """A society that has run."""

    def __init__(self, config: RunConfig, session: Scribe, timing: Timing, mode: Asynchronous):
        self.reports: list[RoundReport] = []
        self.session = session
        self.network = config.network()
        self.timing = timing
        watch = HealthMonitor(config.health, ("a",), ((0, 1),)) if session.ill else None
        arm = Arm(config.exchange, config.exchange.anchor_fraction)
        count = config.evaluation.agents
        plan = RoundsPlan(
            "together",
            arm,
            self.network,
            config.training.rounds,
            config.evaluation,
            None if count is None else config.agents.spread(count),
        )
        services = RoundServices(self.reports.append, watch)
        society = AsynchronousCoordinator(plan, session, services, timing, mode)
        society.run()
        self.result = society.result

    def ends(self, agent: int) -> list[float]:
        return [report.metrics[agent]["simulated_s"] for report in self.reports]


@pytest.fixture
def play(small: Callable[..., RunConfig]) -> Callable[..., Played]:
    """Run agents whose rounds take the given seconds, over edges of one latency."""

    def run(
        seconds: list[float],
        topology: Any = "ring",
        *,
        rounds: int = 4,
        latency_s: float = 0.0,
        hosts: int = 2,
        every: int = 9,
        evaluated: int | None = None,
        exchange: Any = "fedavg",
        ill: Mapping[int, set[int]] | None = None,
        **mode: Any,
    ) -> Played:
        config = small(
            agents={"count": len(seconds)},
            topology=topology,
            exchange=exchange,
            training={"rounds": rounds, "batch_size": 12},
            evaluation={"every": every, "tasks": ["retrieval"], "agents": evaluated},
        )
        edges = config.network().edges
        timing = Timing(
            {agent: 1 / each for agent, each in enumerate(seconds)},
            {edge: latency_s for a, b in edges for edge in ((a, b), (b, a))},
        )
        placement = {agent: agent % hosts for agent in range(len(seconds))}
        scribe = Scribe(placement, ill or {})
        return Played(config, scribe, timing, Asynchronous(**mode))

    return run


def one_by_one(
    network: Network, seconds: list[float], latency_s: float, rounds: int, bound: int
) -> Heard:
    """Let every agent exchange by itself, earliest first: what peers then merge, worked out slowly."""
    ends = {
        (agent, round): seconds[agent] * round
        for agent in range(network.agents)
        for round in range(1, rounds + 1)
    }
    heard: Heard = {}
    merged: dict[tuple[int, int], int] = {}
    for (agent, round), now in sorted(ends.items(), key=lambda item: item[1]):
        found = {}
        for sender in network.senders(agent, 1):
            arrived = [r for r in range(1, rounds + 1) if ends[sender, r] + latency_s <= now]
            latest = max(arrived, default=0)
            if latest > merged.get((agent, sender), 0) and round - latest <= bound:
                found[sender] = merged[agent, sender] = latest
        heard[agent, round, 0] = found
    return heard


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("topology", ["ring", "complete", {"kind": "ring", "hops": 2}])
def test_batches_change_nothing_that_happens(play, topology: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Quarters, so that times often coincide and sums are exact.
    seconds = [float(rng.integers(1, 9)) / 4 for _ in range(7)]
    latency_s, bound = float(rng.integers(0, 6)) / 4, int(rng.integers(0, 4))
    played = play(
        seconds, topology, latency_s=latency_s, rounds=6, hosts=1 + seed % 3, staleness=bound
    )
    expected = one_by_one(played.network, seconds, latency_s, 6, bound)
    assert played.session.fake.heard == expected
    for agent, each in enumerate(seconds):
        assert played.ends(agent) == [each * round for round in range(7)]


def test_nobody_waits_for_a_straggler(play) -> None:
    seconds = [1.0] * 7 + [10.0]
    played = play(seconds, rounds=5, latency_s=0.5)
    assert [played.ends(agent)[-1] for agent in range(8)] == [5.0] * 7 + [50.0]
    # Where agents wait, the delay spreads by one neighbour a round: the straggler's fifth round ends at
    # 50, its neighbours have its message then 0.5 later, and theirs were held up by the fourth already.
    waiting = Timeline(played.timing)
    for round in range(1, 6):
        waiting.train({agent: {"steps": 1.0} for agent in range(8)})
        edges = played.network.hops(round)[0].edges
        late = {edge: waiting.lateness(*edge, SIZE) for edge in edges}
        waiting.wait({to: max(late[edge] for edge in edges if edge[1] == to) for _, to in edges})
    assert waiting.now == {0: 50.5, 1: 42.0, 2: 33.5, 3: 25.0, 4: 33.5, 5: 42.0, 6: 50.5, 7: 50.0}
    # The straggler hears the latest of both, once: they have finished when it has ended its first round.
    assert played.session.fake.heard[7, 1, 0] == {0: 5, 6: 5}
    assert played.session.fake.heard[7, 2, 0] == {}


def test_alike_agents_hear_each_other_at_once_as_if_they_waited(play) -> None:
    played = play([2.0] * 6, rounds=3, latency_s=0.0)
    ring = {agent: ((agent - 1) % 6, (agent + 1) % 6) for agent in range(6)}
    assert played.session.fake.heard == {
        (agent, round, 0): dict.fromkeys(sorted(ring[agent]), round)
        for agent in range(6)
        for round in (1, 2, 3)
    }
    # As few calls as rounds that wait: who trains together exchanges together.
    called = [Begin, Evaluate, *[TrainRounds, Compose, Merge] * 3, Evaluate]
    assert played.session.calls == called


def test_alike_agents_hear_the_round_before_where_messages_take_time(play) -> None:
    played = play([2.0] * 6, rounds=3, latency_s=1.0)
    for (_, round, _), found in played.session.fake.heard.items():
        assert set(found.values()) == ({round - 1} if round > 1 else set())


def test_master_answers_what_has_arrived_and_slaves_take_the_latest_answer(play) -> None:
    # A round takes the master 2 seconds, its slaves 1 and 5; no message takes any time.
    played = play([2.0, 1.0, 5.0], "master_slave", rounds=4, latency_s=0.0)
    heard = played.session.fake.heard
    up, down = 0, 1
    assert heard[0, 1, up] == {1: 2}  # at 2: the slave's second, sent at that very moment
    assert heard[0, 2, up] == {1: 4}
    assert heard[0, 3, up] == {2: 1}  # at 6: the slow slave's, sent at 5
    assert heard[0, 4, up] == {}
    assert [heard[1, round, down] for round in (1, 2, 3, 4)] == [{}, {0: 1}, {}, {0: 2}]
    assert [heard[2, round, down] for round in (1, 2)] == [{0: 2}, {0: 4}]


def test_master_merges_when_a_quorum_has_come_and_nobody_waits_for_it(play) -> None:
    # A round takes the master 1 second, its slaves 2, 3 and 12.
    played = play([1.0, 2.0, 3.0, 12.0], "master_slave", rounds=6, quorum=2)
    heard = played.session.fake.heard
    up = 0
    found = [heard[0, round, up] for round in range(1, 7)]
    assert found == [{}, {}, {1: 1, 2: 1}, {}, {}, {1: 3, 2: 2}]
    assert [played.ends(agent)[-1] for agent in range(4)] == [6.0, 12.0, 18.0, 72.0]
    patient = play([1.0, 2.0, 3.0, 12.0], "master_slave", rounds=6, quorum=2, grace_s=1.5)
    heard = patient.session.fake.heard
    # Found at 3; at 4 the grace is not over, at 5 it is.
    assert [heard[0, round, up] for round in range(1, 7)] == [{}, {}, {}, {}, {1: 2, 2: 1}, {}]


def test_relay_passes_on_what_it_has(play) -> None:
    # Levels 1, 1 and 2: 0 above 1, that above 2 and 3. All alike: everything at once, hop by hop.
    played = play([1.0] * 4, {"kind": "layered", "levels": [1, 1, 2]}, rounds=1)
    expected = {
        (1, 0): {2: 1, 3: 1},
        (0, 1): {1: 1},
        (1, 2): {0: 1},
        (2, 3): {1: 1},
        (3, 3): {1: 1},
    }
    assert {(a, hop): found for (a, _, hop), found in played.session.fake.heard.items()} == expected


def test_parts_of_a_hybrid_keep_their_hops_when_others_are_not_due(play) -> None:
    hybrid = {"strategies": [{"fedavg": {"every": 2}}, "anchor_contrast"]}
    played = play([1.0] * 3, rounds=3, exchange={"kind": "hybrid", **hybrid})
    hops = {
        round: {h for _, r, h in played.session.fake.heard if r == round} for round in (1, 2, 3)
    }
    assert hops == {1: {1}, 2: {0, 1}, 3: {0}}


def test_each_agent_is_evaluated_at_its_own_round(play) -> None:
    played = play([1.0, 3.0, 7.0], rounds=4, every=2)
    evaluated = {r.round: {a: m["mrr"] for a, m in r.evaluation.items()} for r in played.reports}
    assert [r.round for r in played.reports] == [0, 1, 2, 3, 4]
    assert evaluated == {
        round: dict.fromkeys(range(3), float(round)) if round in (0, 2, 4) else {}
        for round in range(5)
    }
    assert all(r.metrics[a]["loss"] == r.round for r in played.reports[1:] for a in range(3))


def test_only_so_many_agents_are_evaluated_as_are_asked_for(play) -> None:
    played = play([1.0, 3.0, 7.0], rounds=4, every=2, evaluated=2)
    assert [sorted(r.evaluation) for r in played.reports] == [[0, 2], [], [0, 2], [], [0, 2]]


def test_records_count_messages_by_their_fate(play) -> None:
    played = play([1.0, 1.0, 4.0], "complete", rounds=8, latency_s=0.25, staleness=2)
    metrics = {report.round: report.metrics for report in played.reports}
    # The slow one's first is sent at 4, and there when the others end their fifth round: 4 behind.
    assert metrics[5][0]["messages_stale"] == 1
    assert metrics[5][0]["messages_merged"] == 1
    # At 4 it finds three of each of the others: two gave way. At 8 it finds four more.
    slow = [metrics[round][2] for round in (1, 2)]
    assert [(m["messages_merged"], m["messages_superseded"]) for m in slow] == [(2, 4), (2, 6)]
    assert [m["rounds_behind"] for m in slow] == [0, 0]
    assert played.result.ledger.total() == 8 * 6 * SIZE
    assert metrics[3][1]["bytes_sent"] == metrics[3][1]["bytes_received"] == 2 * SIZE


def test_collapsed_agent_neither_sends_nor_merges_until_it_recovers(play) -> None:
    played = play([1.0] * 4, rounds=3, ill={2: {2}})
    heard = played.session.fake.heard
    assert (2, 2, 0) not in heard
    assert heard[1, 2, 0] == {0: 2}
    assert heard[2, 3, 0] == {1: 3, 3: 3}
    health = [report.health for report in played.reports[1:]]
    assert [sorted(each.paused) for each in health if each] == [[], [2], []]
    assert [each.recovered for each in health if each] == [(), (), (2,)]
    assert played.reports[2].metrics[2]["paused"] == 1
    assert played.reports[2].metrics[2]["embedded_tokens"] == 7


def test_lone_agent_goes_through_its_rounds(play) -> None:
    played = play([2.0], rounds=2, hosts=1)
    assert played.ends(0) == [0.0, 2.0, 4.0]
    assert played.result.ledger.total() == 0
