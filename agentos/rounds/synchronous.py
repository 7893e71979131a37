"""Rounds in which agents wait for each other; the coordinator sees envelopes, never payloads."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentos.records.checkpoints import Progress
from agentos.records.reports import AgentMetrics, Begun, RoundReport
from agentos.rounds.base import (
    Coordinator,
    RoundServices,
    RoundsPlan,
    add_reading,
    diverged_of,
    pause_diverged,
    save_states,
    warn_of_rejected,
)
from agentos.rounds.clock.timeline import Timeline
from agentos.rounds.faults.injector import Arrivals, FaultInjector
from agentos.rounds.faults.transit import HopTraffic
from agentos.rounds.final_states import add_joint
from agentos.rounds.health.collapse import Health
from agentos.rounds.hop_schedule import ScheduledHop, scheduled_hops, turns_of
from agentos.runtime import Session
from agentos.runtime.host_calls import Compose, Evaluate, Merge, Train
from agents.hosting.delivery import Delivery, Outbox, Sent


class SynchronousCoordinator(Coordinator):
    """Takes a society through rounds in which every receiver waits for all messages of a hop.

    Args:
        plan: the rounds.
        session: hosts that are up.
        services: parts of the run to report to.
        timeline: simulated seconds; None for a run without a clock.
        injector: the faults of the run; None if there is none.
    """

    def __init__(
        self,
        plan: RoundsPlan,
        session: Session,
        services: RoundServices,
        timeline: Timeline | None = None,
        injector: FaultInjector | None = None,
    ) -> None:
        super().__init__(plan, session, services)
        self.timeline = timeline
        self.injector = injector or FaultInjector()

    def _start(self) -> None:
        self.injector.restart()
        self._finish_round(0, time.perf_counter(), {})

    def _resume(self, begun: Begun) -> None:
        self.injector.restart(begun.checkpoint.manifest.late)
        if self.timeline is not None:
            self.timeline.resume(begun.rounds[-1].metrics)
        if self.result.finished == self.plan.rounds:
            self._evaluate()  # hosts keep an evaluation's chart data; new hosts have none

    def _run_rounds(self) -> None:
        checkpoints = self.services.checkpoints
        for round in range(self.result.finished + 1, self.plan.rounds + 1):
            self._round(round)
            if checkpoints and self.services.is_checkpoint_due(round, self.plan.rounds):
                self.phase(round, "checkpointing")
                checkpoints.write(
                    Progress(
                        arm=self.plan.name,
                        round=round,
                        ledger=self.result.ledger,
                        paused=self.services.paused,
                        late=self.injector.late,
                    ),
                    lambda folder: save_states(self.session, folder),
                )

    def _round(self, round: int) -> None:
        began = time.perf_counter()
        self.injector.begin(round)
        absent = self.injector.absent()
        metrics = self._train(round, absent)
        if self.timeline is not None:
            self.timeline.train(metrics)
        health = self._check_health(round, metrics)
        pause_diverged(dict.fromkeys(metrics, round), metrics)
        diverged = diverged_of(metrics)
        self.injector.count_diverged(len(diverged))
        rejected: dict[int, int] = defaultdict(int)
        for agent in self.injector.overdue():
            rejected[agent] += 1
        self.phase(round, "exchanging")
        exchange, network = self.plan.arm.exchange, self.plan.network
        without = self.services.paused | absent | diverged
        for scheduled in scheduled_hops(exchange, network, round, self.plan.rounds, without):
            for agent, reasons in self._hop(scheduled).items():
                rejected[agent] += len(reasons)
                warn_of_rejected(agent, round, reasons)
        traffic = self.result.ledger.for_round(round)
        for agent, values in metrics.items():
            sent, received = traffic.get(agent, (0, 0))
            values.update(bytes_sent=sent, bytes_received=received, rejected=rejected[agent])
        self._finish_round(round, began, metrics, health)

    def _train(self, round: int, absent: frozenset[int]) -> AgentMetrics:
        """Train the agents that are present; mark the others as absent."""
        self.phase(round, "training")
        self.injector.kill_before(Train, self.session)
        metrics = self.session.ask_all(Train(round, absent))
        metrics.update((agent, {"absent": 1.0}) for agent in absent)
        return dict(sorted(metrics.items()))

    def _check_health(self, round: int, metrics: AgentMetrics) -> Health | None:
        """Check the agents' health if it is due, and add the readings to the metrics."""
        monitor = self.services.monitor
        if monitor is None or not monitor.is_due(round):
            return None
        self.phase(round, "monitoring")
        health = monitor.check(round, self.session)
        for agent, reading in health.readings.items():
            add_reading(metrics[agent], reading, agent in health.paused)
        return health

    def _finish_round(
        self, round: int, began: float, metrics: AgentMetrics, health: Health | None = None
    ) -> None:
        evaluation: AgentMetrics = {}
        if self.plan.is_evaluated(round):
            self.phase(round, "evaluating")
            self.injector.kill_before(Evaluate, self.session)
            known = self.plan.before if round == 0 else None
            evaluation = known or self._evaluate()
            if joint := self.plan.joint_after(round):
                add_joint(self.session, joint, metrics, evaluation)
        for agent, values in evaluation.items():
            metrics[agent] = {**metrics.get(agent, {}), **values}
        if self.timeline is not None:
            self.timeline.add_to(metrics)
        report = RoundReport(
            arm=self.plan.name,
            round=round,
            rounds=self.plan.rounds,
            metrics=metrics,
            evaluation=evaluation,
            round_s=time.perf_counter() - began,
            total_bytes=self.result.ledger.total(),
            health=health,
            faults=self.injector.counts,
        )
        self.result.rounds.append(report)
        self.services.on_round(report)

    def _evaluate(self) -> AgentMetrics:
        return self.session.ask_all(Evaluate(self.plan.evaluated))

    def _hop(self, expected: ScheduledHop) -> dict[int, list[str]]:
        """Have the hop's senders compose and its receivers merge; return the reasons of rejections."""
        scheduled = self.injector.cut(expected)
        self.injector.kill_before(Compose, self.session)
        outboxes = self.session.call(self._compositions(scheduled))
        places: dict[int, list[tuple[int, int]]] = {agent: [] for _, agent in scheduled.hop.edges}
        for number, outbox in enumerate(outboxes.values()):
            # By sender: the order in which a host's agents composed must not show.
            for index, sent in sorted(enumerate(outbox.sent()), key=_sender):
                envelope, recipients, size, without = sent
                sender, kind = envelope.sender, envelope.kind
                for receiver in recipients:
                    places[receiver].append((number, index))
                self.result.ledger.record_message(
                    scheduled.round, scheduled.number, sender, recipients, kind, size, without
                )
        boxes = list(outboxes.values())
        lateness = self.timeline.lateness if self.timeline else None
        traffic = HopTraffic(scheduled, boxes, places, self.result.ledger, lateness)
        arrivals = self.injector.deliver(expected, traffic)
        if self.timeline is not None:
            strategy = self.plan.arm.exchange.parts[scheduled.part]
            self.timeline.wait(arrivals.waits, strategy.overlap_steps)
        merges = self._merges(scheduled, boxes, arrivals)
        self.injector.kill_before(Merge, self.session)
        rejected = self.session.ask(merges)
        self.injector.check_quorum(arrivals, rejected)
        return rejected

    def _compositions(self, scheduled: ScheduledHop) -> dict[int, Compose]:
        turns: dict[int, dict[int, Any]] = {}
        senders = sorted({sender for sender, _ in scheduled.hop.edges})
        shared: dict[Any, Any] = {}  # equal values are one object, which is pickled once for a host
        for agent, turn in turns_of(self.plan.network, scheduled, senders).items():
            host, recipients = self.session.placement[agent], scheduled.hop.recipients(agent)
            addressed = shared.setdefault((id(turn), recipients), (turn, recipients))
            turns.setdefault(host, {})[agent] = addressed
        altered = self.injector.alterations(scheduled, senders)
        return {
            host: Compose(
                own, scheduled.part, {agent: altered[agent] for agent in own if agent in altered}
            )
            for host, own in turns.items()
        }

    def _merges(
        self, scheduled: ScheduledHop, outboxes: Sequence[Outbox], arrivals: Arrivals
    ) -> dict[int, Merge]:
        deliveries: dict[int, dict[int, Delivery]] = {}
        checked = self.plan.arm.checksums
        shared: dict[
            Any, Delivery
        ] = {}  # equal values are one object, which is pickled once for a host
        for agent, turn in turns_of(self.plan.network, scheduled, sorted(arrivals.inboxes)).items():
            inbox = arrivals.inboxes[agent]
            senders, places = scheduled.hop.senders(agent), tuple(each.place for each in inbox)
            damage = {i: each.damage for i, each in enumerate(inbox) if each.damage}
            fewest = arrivals.fewest.get(agent, 0)
            key = (agent if damage else None, id(turn), senders, places, fewest)
            if key not in shared:
                shared[key] = Delivery(
                    turn,
                    frozenset(senders),
                    places,
                    damage=damage,
                    checksums=tuple(outboxes[box].checksums[i] for box, i in places if checked),
                    fewest=fewest,
                )
            deliveries.setdefault(self.session.placement[agent], {})[agent] = shared[key]
        handles = [outbox.handle for outbox in outboxes]
        return {
            host: Merge(*_needed(handles, batch), scheduled.part)
            for host, batch in deliveries.items()
        }


def _needed(
    handles: list[Any], batch: dict[int, Delivery]
) -> tuple[list[Any], dict[int, Delivery]]:
    """Keep only the outboxes that a host's deliveries read, renumbered."""
    distinct = {id(delivery): delivery for delivery in batch.values()}
    used = sorted({outbox for delivery in distinct.values() for outbox, _ in delivery.messages})
    number = {outbox: position for position, outbox in enumerate(used)}
    renumbered = {
        key: replace(
            delivery,
            messages=tuple((number[outbox], index) for outbox, index in delivery.messages),
        )
        for key, delivery in distinct.items()
    }
    needed = {agent: renumbered[id(delivery)] for agent, delivery in batch.items()}
    return [handles[outbox] for outbox in used], needed


def _sender(numbered: tuple[int, Sent]) -> int:
    return numbered[1][0].sender
