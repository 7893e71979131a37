"""The round loop, over hosts that only write down what they are asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agentos import RunConfig
from agentos.records.reports import ArmResult, RoundReport
from agentos.rounds.base import RoundServices, RoundsPlan
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime import Session
from agentos.runtime.host_calls import Answer, Begin, Compose, Evaluate, HostCall, Merge, Train
from agents.hosting.delivery import Delivery, Outbox
from agents.training.blueprint import Arm, Blueprint
from protocols.messages import Envelope
from protocols.topologies import Direction

SIZE = 1000
"""Bytes of a message of agent i: SIZE + i."""


class Scribe(Session):
    """Answers as hosts do, and writes down every call.

    Args:
        placement: host of each agent.
        silent: agents that say nothing.
        rejects: (round, receiver): reasons why it refuses messages.
    """

    def __init__(
        self,
        placement: Mapping[int, int],
        silent: frozenset[int] = frozenset(),
        rejects: Mapping[tuple[int, int], list[str]] | None = None,
    ) -> None:
        self.placement = dict(placement)
        self.silent = silent
        self.rejects = rejects or {}
        self.calls: list[dict[int, HostCall[Any]]] = []

    def build(self, blueprint: Blueprint) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        self.calls.append(dict(calls))
        # Hosts may answer in any order.
        return {host: calls[host].run(self._host(host)) for host in sorted(calls, reverse=True)}

    def _host(self, host: int) -> Any:
        agents = [agent for agent, place in self.placement.items() if place == host]
        return FakeHost(agents, self.silent, self.rejects)

    @property
    def kinds(self) -> list[type[HostCall[Any]]]:
        return [type(call) for calls in self.calls for call in [*calls.values()][:1]]

    def named(self, kind: type[HostCall[Any]]) -> list[dict[int, Any]]:
        return [calls for calls in self.calls if any(isinstance(c, kind) for c in calls.values())]


@dataclass
class FakeHost:
    """A host whose agents neither learn nor say anything of their own."""

    agents: list[int]
    silent: frozenset[int]
    rejects: Mapping[tuple[int, int], list[str]]

    def begin(self, arm: Arm) -> None:
        pass

    def train(self, round: int, absent: frozenset[int]) -> dict[int, dict[str, float]]:
        return {agent: {"loss": float(round), "tokens": 10.0} for agent in self.agents}

    def evaluate(self, chosen: None) -> dict[int, dict[str, float]]:
        return {agent: {"mrr": agent / 10} for agent in self.agents}

    def compose(self, turns: dict[int, Any], part: int, lies: Any) -> Outbox:
        said = {agent: turn for agent, turn in turns.items() if agent not in self.silent}
        envelopes = tuple(
            Envelope(agent, turn.round, turn.hop, "embeddings") for agent, (turn, _) in said.items()
        )
        recipients = tuple(to for _, to in said.values())
        sizes = tuple(SIZE + agent for agent in said)
        return Outbox(list(said), envelopes, recipients, sizes, sizes)

    def merge(
        self, handles: list[Any], deliveries: dict[int, Delivery], part: int
    ) -> dict[int, list[str]]:
        return {
            agent: self.rejects.get((delivery.turn.round, agent), [])
            for agent, delivery in deliveries.items()
        }


class Played:
    """A coordinator that has run over a scribe."""

    def __init__(self, config: RunConfig, session: Scribe, before: Any = None) -> None:
        self.reports: list[RoundReport] = []
        self.session = session
        self.network = config.network()
        arm = Arm(config.exchange, config.exchange.anchor_fraction)
        rounds = config.training.rounds
        plan = RoundsPlan("together", arm, self.network, rounds, config.evaluation, before=before)
        services = RoundServices(self.reports.append)
        coordinator = SynchronousCoordinator(plan, session, services)
        coordinator.run()
        self.result = coordinator.result


@pytest.fixture
def play(small: Callable[..., RunConfig]) -> Callable[..., Played]:
    """Run a society of agents on two hosts, agent i on host i mod 2."""

    def run(
        agents: int,
        topology: Any,
        *,
        exchange: Any = "anchor_contrast",
        rounds: int = 2,
        every: int = 9,
        before: Any = None,
        **scribe: Any,
    ) -> Played:
        config = small(
            agents={"count": agents},
            topology=topology,
            exchange=exchange,
            training={"rounds": rounds, "batch_size": 12},
            evaluation={"every": every, "tasks": ["probe"]},
        )
        placement = scribe.pop("placement", {agent: agent % 2 for agent in range(agents)})
        return Played(config, Scribe(placement, **scribe), before)

    return run


# Which calls, in which order


def test_peers_train_compose_and_merge_once_a_round(play: Callable[..., Played]) -> None:
    played = play(4, "ring", rounds=3)
    first = [Begin, Evaluate]
    round = [Train, Compose, Merge]
    assert played.session.kinds == [*first, *round, *round, Train, Evaluate]


def test_master_gathers_then_broadcasts(play: Callable[..., Played]) -> None:
    played = play(4, "master_slave")
    assert played.session.kinds[2:7] == [Train, Compose, Merge, Compose, Merge]
    gather, broadcast = played.session.named(Compose)
    up, down = gather[1].turns, broadcast[0].turns
    assert {agent: recipients for agent, (_, recipients) in up.items()} == {1: (0,), 3: (0,)}
    assert {agent: recipients for agent, (_, recipients) in down.items()} == {0: (1, 2, 3)}
    assert broadcast.keys() == {0}  # the host of the slaves has nothing to say


def test_layers_go_up_level_by_level_and_down_again(play: Callable[..., Played]) -> None:
    played = play(7, {"kind": "layered", "levels": [1, 2, 4]})
    turns = [
        {agent: turn for each in call.values() for agent, (turn, _) in each.turns.items()}
        for call in played.session.named(Compose)
    ]
    assert [sorted(hop) for hop in turns] == [[3, 4, 5, 6], [1, 2], [0], [1, 2]]
    up, down = Direction.UP, Direction.DOWN
    assert [{turn.direction for turn in hop.values()} for hop in turns] == [
        {up},
        {up},
        {down},
        {down},
    ]
    assert [{turn.hop for turn in hop.values()} for hop in turns] == [{0}, {1}, {2}, {3}]


def test_only_the_root_is_told_that_it_is_the_top(play: Callable[..., Played]) -> None:
    played = play(7, {"kind": "layered", "levels": [1, 2, 4]})
    for call in played.session.named(Merge):
        for each in call.values():
            for agent, delivery in each.deliveries.items():
                assert delivery.turn.is_top == (agent == 0)
                assert delivery.turn.mixing == {}


def test_peers_are_told_how_to_mix(play: Callable[..., Played]) -> None:
    (merged,) = play(4, "ring").session.named(Merge)
    for each in merged.values():
        for agent, delivery in each.deliveries.items():
            assert not delivery.turn.is_top
            assert delivery.turn.mixing.keys() == {agent, (agent - 1) % 4, (agent + 1) % 4}
            assert sum(delivery.turn.mixing.values()) == pytest.approx(1.0)


def test_edges_follow_the_schedule_of_the_round(play: Callable[..., Played]) -> None:
    played = play(8, "one_peer_exponential", rounds=4)
    rows = played.result.ledger.rows()
    for round in (1, 2, 3):
        live = {edge for hop in played.network.hops(round) for edge in hop.edges}
        took = zip(rows["round"], rows["sender"], rows["receiver"], strict=True)
        assert {(sender, receiver) for r, sender, receiver in took if r == round} == live


def test_lone_agent_trains_without_a_word(play: Callable[..., Played]) -> None:
    played = play(1, "ring")
    assert played.session.kinds == [Begin, Evaluate, Train, Train, Evaluate]
    assert played.result.ledger.total() == 0


# Who hears what


@pytest.mark.parametrize("hosts", [1, 2, 3, 6])
def test_every_receiver_is_handed_its_senders_messages_wherever_they_live(
    play: Callable[..., Played], hosts: int
) -> None:
    placement = {agent: agent * hosts // 6 for agent in range(6)}
    played = play(6, "ring", placement=placement)
    (merged,) = played.session.named(Merge)
    heard = {}
    for each in merged.values():
        handles, batch = each.handles, each.deliveries
        needed = {outbox for delivery in batch.values() for outbox, _ in delivery.messages}
        assert needed == set(range(len(handles)))  # no host fetches what it does not read
        for agent, delivery in batch.items():
            heard[agent] = {handles[outbox][index] for outbox, index in delivery.messages}
            assert delivery.senders == heard[agent]
    assert heard == {agent: {(agent - 1) % 6, (agent + 1) % 6} for agent in range(6)}


def test_receiver_of_a_silent_agent_merges_without_it(play: Callable[..., Played]) -> None:
    played = play(4, "ring", silent=frozenset({2}))
    (merged,) = played.session.named(Merge)
    deliveries = {agent: d for each in merged.values() for agent, d in each.deliveries.items()}
    assert {agent: len(d.messages) for agent, d in deliveries.items()} == {0: 2, 1: 1, 2: 2, 3: 1}
    assert deliveries[1].senders == {0, 2}  # it would have been heard
    assert played.result.ledger.by_agent()[2] == (0, 2 * SIZE + 1 + 3)


def test_society_of_silence_still_merges(play: Callable[..., Played]) -> None:
    played = play(3, "ring", silent=frozenset(range(3)))
    (merged,) = played.session.named(Merge)
    deliveries = {agent: d for each in merged.values() for agent, d in each.deliveries.items()}
    assert {agent: d.messages for agent, d in deliveries.items()} == dict.fromkeys(range(3), ())
    assert played.result.ledger.total() == 0


def test_society_without_exchange_never_speaks(play: Callable[..., Played]) -> None:
    played = play(3, "ring", exchange="isolated")
    assert played.session.kinds == [Begin, Evaluate, Train, Train, Evaluate]


# What it costs


def test_ledger_has_a_row_for_each_delivery(play: Callable[..., Played]) -> None:
    rows = play(3, "master_slave").result.ledger.rows()
    found = set(zip(*(rows[name] for name in ("round", "hop", "sender", "receiver")), strict=True))
    assert found == {(1, 0, 1, 0), (1, 0, 2, 0), (1, 1, 0, 1), (1, 1, 0, 2)}
    assert rows["payload_bytes"] == [SIZE + sender for sender in rows["sender"]]
    assert set(rows["kind"]) == {"embeddings"}


def test_agents_are_told_the_bytes_of_the_round(play: Callable[..., Played]) -> None:
    played = play(3, "master_slave", rounds=3)
    for report in played.reports[1:3]:
        traffic = {a: (m["bytes_sent"], m["bytes_received"]) for a, m in report.metrics.items()}
        assert traffic == {
            0: (2 * SIZE, 2 * SIZE + 3),
            1: (SIZE + 1, SIZE),
            2: (SIZE + 2, SIZE),
        }
    last = played.reports[3].metrics
    assert all((m["bytes_sent"], m["bytes_received"]) == (0, 0) for m in last.values())
    assert [report.total_bytes for report in played.reports] == [0, 4003, 8006, 8006]


@pytest.mark.parametrize(
    ("exchange", "spoken"),
    [
        ("anchor_contrast", [1, 2, 3, 4]),
        ("anchor_similarity", [1, 2, 3, 4]),
        ({"kind": "pseudo_labels", "classes": 4}, [1, 2, 3, 4]),
        ("fedavg", [1, 2, 3, 4, 5]),
        ({"kind": "anchor_contrast", "every": 2}, [2, 4]),
        ({"kind": "fedavg", "every": 2}, [2, 4, 5]),
    ],
)
def test_last_round_ends_with_an_exchange_only_if_it_changes_parameters(
    play: Callable[..., Played], exchange: Any, spoken: list[int]
) -> None:
    played = play(3, "ring", exchange=exchange, rounds=5)
    assert sorted(set(played.result.ledger.rows()["round"])) == spoken


def test_rejected_messages_are_counted_and_told(
    play: Callable[..., Played], caplog: pytest.LogCaptureFixture
) -> None:
    rejects = {(1, 2): ["shape", "not_finite"], (2, 0): ["version"]}
    with caplog.at_level(logging.WARNING, logger="agentos.rounds.base"):
        played = play(4, "ring", rounds=3, rejects=rejects)
    counts = [{a: m["rejected"] for a, m in r.metrics.items()} for r in played.reports[1:]]
    assert counts == [
        {0: 0, 1: 0, 2: 2, 3: 0},
        {0: 1, 1: 0, 2: 0, 3: 0},
        dict.fromkeys(range(4), 0),
    ]
    assert caplog.messages == [
        "agent-2, round 1: rejected shape, not_finite",
        "agent-0, round 2: rejected version",
    ]


# When it is measured


@pytest.mark.parametrize(
    ("rounds", "every", "due"),
    [(5, 2, [0, 2, 4, 5]), (4, 2, [0, 2, 4]), (3, 9, [0, 3]), (3, 1, [0, 1, 2, 3]), (1, 1, [0, 1])],
)
def test_evaluation_is_due_before_every_so_often_and_last(
    play: Callable[..., Played], rounds: int, every: int, due: list[int]
) -> None:
    played = play(3, "ring", rounds=rounds, every=every)
    assert [report.round for report in played.reports] == list(range(rounds + 1))
    assert [report.round for report in played.reports if report.evaluation] == due
    assert len(played.session.named(Evaluate)) == len(due)


def test_untrained_agents_are_measured_once_for_both_arms(play: Callable[..., Played]) -> None:
    before = {agent: {"mrr": 0.5} for agent in range(3)}
    played = play(3, "ring", before=before)
    assert played.session.kinds[:2] == [Begin, Train]
    assert played.result.before == before
    assert played.reports[0].metrics == before


def test_metrics_are_sorted_by_agent_whatever_the_packing(play: Callable[..., Played]) -> None:
    played = play(4, "ring", placement={3: 0, 0: 1, 2: 0, 1: 1})
    for report in played.reports:
        assert list(report.metrics) == [0, 1, 2, 3]
    assert played.reports[1].metrics[3].keys() == {
        *("loss", "tokens", "bytes_sent", "bytes_received", "rejected")
    }
    assert played.reports[2].metrics[3]["mrr"] == 0.3


# What came of it


def test_result_tells_before_after_and_totals(play: Callable[..., Played]) -> None:
    result = play(3, "ring", rounds=3).result
    assert result.before == result.after == {0: {"mrr": 0.0}, 1: {"mrr": 0.1}, 2: {"mrr": 0.2}}
    assert result.total("tokens") == 3 * 3 * 10
    assert result.total("nothing") == 0
    assert result.finished == 3
    assert result.wall_s == sum(report.round_s for report in result.rounds) >= 0


def test_result_of_nothing_is_empty() -> None:
    result = ArmResult()
    assert (result.before, result.after, result.finished, result.wall_s) == ({}, {}, 0, 0)


def test_result_keeps_the_rounds_before_an_interruption(small: Callable[..., RunConfig]) -> None:
    def stop_in_round_1(report: RoundReport) -> None:
        if report.round == 1:
            raise KeyboardInterrupt

    config, session = small(), Scribe(dict.fromkeys(range(4), 0))
    arm = Arm(config.exchange, 0.25)
    rounds = config.training.rounds
    plan = RoundsPlan("together", arm, config.network(), rounds, config.evaluation)
    coordinator = SynchronousCoordinator(plan, session, RoundServices(stop_in_round_1))
    with pytest.raises(KeyboardInterrupt):
        coordinator.run()
    assert [report.round for report in coordinator.result.rounds] == [0, 1]
    assert coordinator.result.ledger.total() > 0
