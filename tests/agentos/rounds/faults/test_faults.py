"""Every kind of fault: it strikes, and what comes out of the run is another thing for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from agentos import RunConfig
from agentos.records.reports import RoundReport
from agentos.rounds.base import RoundServices, RoundsPlan
from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.clock.timing import timing_of
from agentos.rounds.faults import FAULTS
from agentos.rounds.faults.injector import FaultInjector
from agentos.rounds.synchronous import SynchronousCoordinator
from agentos.runtime.base import Session
from agentos.runtime.host_calls import HostCall, Merge
from agentos.runtime.local import LocalRuntime
from agents.training.blueprint import Arm
from protocols.errors import HostLost, RuntimeFailure

AGENTS, ROUNDS = 4, 3


@dataclass(frozen=True)
class Played:
    """Outcome of a run over a few rounds."""

    reports: list[RoundReport]
    rows: dict[str, list[Any]]
    waited_s: list[float]

    def struck(self, round: int) -> dict[str, int]:
        return dict(self.reports[round].faults)

    @property
    def total(self) -> dict[str, int]:
        kinds = {kind for report in self.reports for kind in report.faults}
        return {k: sum(report.faults.get(k, 0) for report in self.reports) for k in sorted(kinds)}

    def of(self, name: str) -> list[list[float]]:
        """Return a metric of every agent, by round; -1 where it is missing."""
        return [
            [report.metrics[agent].get(name, -1.0) for agent in range(AGENTS)]
            for report in self.reports[1:]
        ]

    @property
    def ended(self) -> list[float]:
        """Norm of each agent's embedding of a text in the end: that of its parameters, so to speak."""
        return self.of("norm")[-1]

    @property
    def deliveries(self) -> list[tuple[int, int, int]]:
        rows = self.rows
        return list(zip(rows["round"], rows["sender"], rows["receiver"], strict=True))

    def same(self, other: Played) -> bool:
        return self.rows == other.rows and [_timeless(r) for r in self.reports] == [
            _timeless(r) for r in other.reports
        ]


def _timeless(report: RoundReport) -> Mapping[int, Any]:
    return {
        agent: {k: v for k, v in values.items() if not k.endswith("_s")}
        for agent, values in report.metrics.items()
    }


Play = Callable[..., Played]


@pytest.fixture(scope="module")
def session(make_blueprint: Callable[..., Any]) -> Iterator[Session]:
    from agents.exchange.base import Heads

    blueprint = make_blueprint(AGENTS, training={"local_steps": 1}, heads=Heads(classes=4))
    with LocalRuntime().start(blueprint) as session:
        yield session


@pytest.fixture(scope="module")
def play(session: Session, small_values: dict[str, Any]) -> Play:
    """Run four peers on a ring of the same agents every time; runs without faults are kept."""
    kept: dict[str, Played] = {}

    def run(
        *faults: Any, exchange: Any = "anchor_contrast", rounds: int = ROUNDS, **changes: Any
    ) -> Played:
        key = repr((faults, exchange, rounds, changes))
        if key in kept:
            return kept[key]
        config = RunConfig.model_validate(
            {
                **small_values,
                "exchange": exchange,
                "faults": faults,
                "training": {"rounds": rounds, "batch_size": 12},
                "evaluation": {"every": 1},
                **changes,
            }
        )
        waited: list[float] = []
        script = FaultInjector(
            config.faults, config.policy, config.seed, AGENTS, wait=waited.append
        )
        reports: list[RoundReport] = []
        arm = Arm(config.exchange, config.exchange.anchor_fraction, config.policy.checksums)
        timeline = None
        if config.clock is not None:
            timeline = Timeline(timing_of(config.clock, config.network(), config.seed, {}, 16))
        plan = RoundsPlan("together", arm, config.network(), rounds, config.evaluation)
        services = RoundServices(reports.append)
        coordinator = SynchronousCoordinator(plan, session, services, timeline, script)
        coordinator.run()
        result = coordinator.result
        played = Played(reports, result.ledger.rows(), waited)
        if not faults:
            kept[key] = played
        return played

    return run


def test_every_kind_is_tested_here() -> None:
    tested = {"drop", "delay", "duplicate", "reorder", "network_partition", "churn", "corrupt"}
    tested |= {"kill", "stall", "poison_labels", "byzantine"}
    assert set(FAULTS) == tested


def test_same_script_strikes_again_in_the_same_way_and_another_seed_elsewhere(play: Play) -> None:
    drop = {"kind": "drop", "share": 0.4}
    first, again = play(drop), play(drop)
    assert first is not again
    assert first.same(again)
    assert first.total["drop"] == again.total["drop"] > 0
    other = play(drop, seed=1)
    struck = [[report.faults.get("drop", 0) for report in run.reports] for run in (first, other)]
    assert struck[0] != struck[1]


def test_faults_strike_in_their_rounds_alone(play: Play) -> None:
    played, calm = play({"kind": "drop", "rounds": [2, 2]}), play()
    assert [played.struck(round) for round in (1, 2, 3)] == [{}, {"drop": 8}, {}]
    # Round 3 is the first to learn from the messages of round 2.
    same = [(a == b) for a, b in zip(played.of("norm"), calm.of("norm"), strict=True)]
    assert same == [True, True, False]


def test_dropped_messages_cost_bytes_and_are_not_heard(play: Play) -> None:
    played, calm = play({"kind": "drop", "senders": [0], "receivers": [1]}), play()
    assert played.total == {"drop": 2}  # there is no exchange after the last round
    assert played.rows == calm.rows
    changed = [mine != theirs for mine, theirs in zip(played.ended, calm.ended, strict=True)]
    assert changed[1]
    # At first it is agent 1 alone that learns something else.
    norms = played.of("norm")[1], calm.of("norm")[1]
    assert [mine != theirs for mine, theirs in zip(*norms, strict=True)] == [
        False,
        True,
        False,
        False,
    ]


def test_lost_messages_are_sent_again_and_their_bytes_counted(play: Play) -> None:
    drop = {"kind": "drop", "share": 0.4}
    lossy, calm = play(drop), play()
    repaired = play(drop, policy={"retries": 30})
    assert repaired.total["retried"] == repaired.total["drop"] > lossy.total["drop"]
    assert len(repaired.deliveries) == len(calm.deliveries) + repaired.total["retried"]
    # With all messages there in the end, the agents learn what they learn without faults.
    assert repaired.of("loss") == calm.of("loss")
    assert repaired.ended == calm.ended != lossy.ended


def test_delayed_messages_are_rejected_in_the_round_in_which_they_arrive(play: Play) -> None:
    delay = {"kind": "delay", "by": 2, "senders": [0], "rounds": 1}
    played, calm = play(delay), play()
    assert [played.struck(round) for round in range(1, 4)] == [{"delay": 2}, {}, {"late": 2}]
    assert played.of("rejected")[2] == [0, 1, 0, 1]  # both neighbours on the ring
    assert played.rows == calm.rows
    assert played.ended != calm.ended


def test_duplicates_cost_bytes_and_are_rejected(play: Play) -> None:
    played, calm = play({"kind": "duplicate", "copies": 2, "rounds": 1}), play()
    assert played.total == {"duplicate": 8}
    assert len(played.deliveries) == len(calm.deliveries) + 2 * 8
    assert played.of("rejected") == [[4] * 4, [0] * 4, [0] * 4]
    assert sum(played.of("bytes_received")[0]) == 3 * sum(calm.of("bytes_received")[0])
    assert played.ended == calm.ended


def test_order_of_arrival_changes_nothing_but_the_order(
    play: Play, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[list[tuple[int, int]]] = []
    call = session.call

    def noting(calls: Mapping[int, HostCall[Any]]) -> Any:
        merges = [each for each in calls.values() if isinstance(each, Merge)]
        orders.extend([*d.messages] for merge in merges for d in merge.deliveries.values())
        return call(calls)

    monkeypatch.setattr(session, "call", noting)
    calm = play(policy={"restarts": 7})
    before, orders[:] = [*orders], []
    played = play("reorder")
    assert played.total["reorder"] == sum(a != b for a, b in zip(orders, before, strict=True)) > 0
    assert played.same(calm)


def test_partition_falls_apart_and_grows_together_again(play: Play) -> None:
    parts = {"kind": "network_partition", "groups": [[0, 1]], "rounds": 1}
    played, calm = play(parts), play()
    assert played.total == {"network_partition": 4}
    across = [(r, s, t) for r, s, t in played.deliveries if {s, t} in ({1, 2}, {3, 0})]
    assert {round for round, _, _ in across} == {2}
    assert {round for round, s, t in played.deliveries if {s, t} == {0, 1}} == {1, 2}
    assert played.ended != calm.ended


def test_parts_of_a_partition_are_drawn_once(play: Play) -> None:
    played = play({"kind": "network_partition", "parts": 2})
    by_round = [{(s, t) for r, s, t in played.deliveries if r == round} for round in (1, 2)]
    assert by_round[0] == by_round[1]
    assert len(by_round[0]) < 8


def test_agents_that_are_away_go_on_from_where_they_were(play: Play) -> None:
    churn = {"kind": "churn", "agents": [2], "rounds": [2, 3]}
    played, calm = play(churn, rounds=4), play(rounds=4)
    assert played.total == {"churn": 2}
    assert played.of("absent") == [[-1] * 4, [-1, -1, 1, -1], [-1, -1, 1, -1], [-1] * 4]
    assert played.of("steps") == [[1] * 4, [1, 1, -1, 1], [1, 1, -1, 1], [1] * 4]
    assert {r for r, s, t in played.deliveries if 2 in (s, t)} == {1}
    # Its encoder stays as it was; its third step of the calm run is its second here.
    norms = [row[2] for row in played.of("norm")]
    assert norms[0] == norms[1] == norms[2] != norms[3]
    assert norms[3] != [row[2] for row in calm.of("norm")][3]


def test_agents_that_are_away_are_drawn_anew_in_every_round(play: Play) -> None:
    played = play({"kind": "churn", "share": 0.5})
    away = [[agent for agent in range(AGENTS) if row[agent] == 1] for row in played.of("absent")]
    assert len({tuple(each) for each in away}) > 1
    assert played.total["churn"] == sum(map(len, away))


def test_corrupt_messages_are_rejected_where_checksums_are_checked(play: Play) -> None:
    corrupt = {"kind": "corrupt", "bits": 6, "share": 0.5}
    checked, calm = play(corrupt, policy={"checksums": True}), play()
    assert play(policy={"checksums": True}).same(calm)
    assert checked.total["corrupt"] == sum(map(sum, checked.of("rejected"))) > 0
    unchecked = play(corrupt)
    assert unchecked.total["corrupt"] == checked.total["corrupt"]
    # Flipped bits of the fraction of a number are no message less.
    assert sum(map(sum, unchecked.of("rejected"))) < checked.total["corrupt"]
    assert len({tuple(run.ended) for run in (checked, unchecked, calm)}) == 3


@pytest.mark.parametrize(
    ("exchange", "mode"),
    [
        ("fedavg", "noise"),
        ("fedavg", "sign_flip"),
        ("fedavg", "drift"),
        ("anchor_contrast", "noise"),
        ({"kind": "fedmd", "classes": 4, "digest": "mse"}, "scale"),
    ],
)
def test_byzantine_agents_mislead_the_others(play: Play, exchange: Any, mode: str) -> None:
    byzantine = {"kind": "byzantine", "agents": [0], "mode": mode, "factor": 3.0, "rounds": 1}
    played, calm = play(byzantine, exchange=exchange), play(exchange=exchange)
    assert played.total == {"byzantine": 1}  # one message, which both neighbours read
    assert played.rows == calm.rows
    changed = [mine != theirs for mine, theirs in zip(played.ended, calm.ended, strict=True)]
    assert changed[1]
    assert changed[3]
    # It lies to others, and hears the truth in that round.
    assert played.of("norm")[0][0] == calm.of("norm")[0][0]


def test_robust_fusion_withstands_a_byzantine_agent(play: Play) -> None:
    def gap(fusion: str) -> float:
        setting: dict[str, Any] = {
            "exchange": {"kind": "fedavg", "fusion": fusion},
            "topology": "complete",
        }
        byzantine = {"kind": "byzantine", "agents": [0], "factor": 50.0, "rounds": [1, 4]}
        pairs = zip(play(byzantine, **setting).ended[1:], play(**setting).ended[1:], strict=True)
        return max(abs(mine - theirs) / theirs for mine, theirs in pairs)

    assert gap("median") < gap("mean")


@pytest.mark.parametrize(
    "exchange", [{"kind": "pseudo_labels", "classes": 4, "confidence": 0.0}, "ranked_neighbours"]
)
def test_poisoned_labels_mislead_the_others(play: Play, exchange: Any) -> None:
    poison = {"kind": "poison_labels", "agents": [1, 2]}
    played, calm = play(poison, exchange=exchange), play(exchange=exchange)
    assert played.total == {"poison_labels": 2 * 2}
    assert sum(map(sum, played.of("rejected"))) == 0
    assert played.rows == calm.rows
    assert played.ended != calm.ended


def test_poison_leaves_weights_alone(play: Play) -> None:
    poison = {"kind": "poison_labels", "agents": [1]}
    played = play(poison, exchange="fedavg")
    assert played.total == {}
    assert played.same(play(exchange="fedavg"))


def test_all_wait_for_an_agent_that_stalls_unless_there_is_a_deadline(play: Play) -> None:
    stall = {"kind": "stall", "agents": [3], "seconds": 30.0, "rounds": [1, 2]}
    waiting, calm = play(stall), play()
    assert waiting.waited_s == [30.0, 30.0]
    assert waiting.total == {"stall": 4}
    assert waiting.ended == calm.ended
    hasty = play(stall, policy={"deadline_s": 10.0})
    assert hasty.waited_s == []
    assert hasty.total == {"stall": 4, "past_deadline": 4}
    assert hasty.ended != calm.ended
    assert play(stall, policy={"deadline_s": 60.0}).ended == calm.ended


def test_stalls_and_deadlines_pass_on_the_simulated_clock_and_nowhere_else(play: Play) -> None:
    clock = {"work": "steps", "speed": 1.0, "latency_s": 0.25, "bytes_per_s": None}
    stall = {"kind": "stall", "agents": [3], "seconds": 30.0, "rounds": 1}
    calm, waiting = play(clock=clock), play(stall, clock=clock)
    steps_s = calm.reports[1].metrics[0]["steps"]
    assert calm.reports[1].metrics[0]["simulated_s"] == steps_s + 0.25
    # On a ring its two neighbours wait, but only in simulated time.
    assert waiting.waited_s == []
    ends = [waiting.reports[1].metrics[agent]["simulated_s"] - steps_s for agent in range(AGENTS)]
    assert ends == [30.25, 0.25, 30.25, 0.25]
    assert play(stall).ended == play().ended
    hasty = play(stall, clock=clock, policy={"deadline_s": 10.0})
    ends = [hasty.reports[1].metrics[agent]["simulated_s"] - steps_s for agent in range(AGENTS)]
    assert ends == [10.0, 0.25, 10.0, 0.25]
    assert hasty.total == {"stall": 2, "past_deadline": 2}
    assert hasty.ended != calm.ended


def test_slow_agents_miss_the_deadline_without_any_fault(play: Play) -> None:
    clock = {"work": "steps", "speed": 1.0, "latency_s": 5.0, "bytes_per_s": None}
    patient, hasty = play(clock=clock), play(clock=clock, policy={"deadline_s": 4.0})
    # Eight messages a round; what is sent after the last one could teach no agent.
    assert hasty.total == {"past_deadline": 8 * (ROUNDS - 1)}
    assert hasty.ended != patient.ended
    assert patient.total == {}


def test_agents_below_the_quorum_keep_their_own(play: Play) -> None:
    drop = {"kind": "drop", "senders": [0]}
    partial = play(drop, exchange="fedavg")
    strict = play(drop, exchange="fedavg", policy={"quorum": 0.6})
    assert "below_quorum" not in partial.total
    # Agents 1 and 3 hear one of their two neighbours; in every round, the last included.
    assert strict.total["below_quorum"] == 2 * ROUNDS
    assert [row[1] for row in strict.of("rejected")] == [1] * ROUNDS
    alone = play(exchange="isolated")
    assert strict.ended[1] == pytest.approx(alone.ended[1], rel=1e-6)
    assert strict.ended != partial.ended


def test_rejected_messages_do_not_count_for_the_quorum(play: Play) -> None:
    policy = {"quorum": 0.5, "checksums": True}
    played = play({"kind": "corrupt", "rounds": 1}, policy=policy)
    assert played.struck(1) == {"corrupt": 8, "below_quorum": 4}


def test_quorum_counts_neighbours_in_another_part(play: Play) -> None:
    parts = {"kind": "network_partition", "groups": [[0]], "rounds": 1}
    played = play(parts, policy={"quorum": 0.5})
    assert played.struck(1) == {"network_partition": 4, "below_quorum": 1}


def test_run_aborts_below_the_quorum_if_it_is_to(play: Play) -> None:
    with pytest.raises(RuntimeFailure, match=r"round 2: agents \[1, 3\] accepted fewer") as caught:
        play(
            {"kind": "drop", "senders": [0], "rounds": [2, 3]},
            policy={"quorum": 1.0, "below_quorum": "abort"},
        )
    assert not isinstance(caught.value, HostLost)
    assert "policy.quorum" in str(caught.value.hint)


def test_trees_go_on_without_what_is_lost(play: Play) -> None:
    setting: dict[str, Any] = {
        "topology": {"kind": "layered", "levels": [1, 1, 2]},
        "exchange": "fedavg",
    }
    calm = play(**setting)
    for fault in (
        {"kind": "drop", "share": 0.5},
        {"kind": "churn", "agents": [0], "rounds": 2},
        {"kind": "network_partition", "groups": [[3]]},
    ):
        played = play(fault, **setting)
        assert played.total[str(fault["kind"])] > 0
        assert played.ended != calm.ended
        assert sum(map(sum, played.of("rejected"))) == 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "drop", "senders": [9]}, "names agent 9"),
        ({"kind": "drop", "rounds": [3, 2]}, "end before they begin"),
        ({"kind": "churn"}, "either agents"),
        ({"kind": "kill", "agent": 0}, "name the round"),
        ({"kind": "network_partition", "groups": [[0, 1], [1]]}, "one group at most"),
    ],
)
def test_scripts_that_mean_nothing_are_refused(
    fault: dict[str, Any], told: str, small: Callable[..., RunConfig]
) -> None:
    with pytest.raises(ValidationError, match=told):
        small(faults=[fault])
