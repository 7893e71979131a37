"""The round loop: it decides nothing about learning, and sees envelopes, never payloads."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentos.records.reports import AgentMetrics, ArmResult, Begun, RoundReport, by_agent
from agentos.rounds.faults.injector import FaultInjector, Mail
from agentos.rounds.hop_schedule import ScheduledHop, scheduled_hops, turns_of
from agentos.runtime.host_calls import Begin, Compose, Evaluate, Merge, Train
from protocols.topologies import Network

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.records.checkpoints import Checkpoints
    from agentos.rounds.clock.timeline import Timeline
    from agentos.rounds.health.collapse import Health
    from agentos.rounds.health.monitor import HealthMonitor
    from agentos.runtime import Session
    from agents.hosting.delivery import Delivery, Heading, Outbox
    from agents.training.blueprint import Arm

logger = logging.getLogger(__name__)


class SynchronousCoordinator:
    """Takes a society through its rounds.

    Args:
        config: of the run.
        network: who may talk to whom.
        session: hosts that are up.
        arm: the exchange of this run, and its name in the records.
        on_round: called after every round.
        before: evaluation of the untrained agents, where another arm has measured it.
        checkpoints: where to write checkpoints; None for nowhere.
        watch: looks for agents that collapse; None for no watch.
        timeline: simulated seconds; None for a run without a clock.
        script: the faults that the run is to suffer; None for none.
    """

    def __init__(
        self,
        config: RunConfig,
        network: Network,
        session: Session,
        arm: Arm,
        name: str,
        on_round: Callable[[RoundReport], None],
        before: AgentMetrics | None = None,
        checkpoints: Checkpoints | None = None,
        watch: HealthMonitor | None = None,
        timeline: Timeline | None = None,
        script: FaultInjector | None = None,
    ) -> None:
        self.config = config
        self.network = network
        self.session = session
        self.arm = arm
        self.name = name
        self.on_round = on_round
        self.before = before
        self.checkpoints = checkpoints
        self.watch = watch
        self.timeline = timeline
        self.script = script or FaultInjector()
        self.result = ArmResult()

    def run(self, begun: Begun | None = None) -> ArmResult:
        """Run every round; on an interruption, `result` holds the rounds that were finished.

        Args:
            begun: the rounds that were run before, and the checkpoint after the last of them.
        """
        self.session.call_all(Begin(self.arm))
        if self.watch is not None:
            self.watch.paused = frozenset()
        self.script.restart(begun.checkpoint.manifest.late if begun else ())
        if begun is None:
            self._finish_round(0, time.perf_counter(), {})
        else:
            self._go_on(begun)
        for round in range(self.result.finished + 1, self.config.training.rounds + 1):
            self._round(round)
            if self.checkpoints and self.checkpoints.config.is_due(
                round, self.config.training.rounds
            ):
                paused = self.watch.paused if self.watch else ()
                self.checkpoints.write(
                    self.session, self.name, round, self.result.ledger, paused, self.script.late
                )
        return self.result

    def _go_on(self, begun: Begun) -> None:
        from agentos.records.checkpoints import restore

        self.result.rounds.extend(begun.rounds)
        self.result.ledger = begun.checkpoint.ledger()
        restore(self.session, begun.checkpoint)
        if self.watch is not None:
            self.watch.paused = frozenset(begun.checkpoint.manifest.paused)
        if self.timeline is not None:
            self.timeline.go_on(begun.rounds[-1].metrics)
        if self.result.finished == self.config.training.rounds:
            self._evaluate()  # for the pictures of what it says

    def _round(self, round: int) -> None:
        began = time.perf_counter()
        self.script.begin(round)
        absent = self.script.absent()
        metrics = self._train(round, absent)
        if self.timeline is not None:
            self.timeline.train(metrics)
        health = self._look(round, metrics)
        paused = self.watch.paused if self.watch else frozenset[int]()
        rejected: dict[int, int] = defaultdict(int)
        for agent in self.script.overdue():
            rejected[agent] += 1
        rounds = self.config.training.rounds
        for leg in scheduled_hops(self.arm.exchange, self.network, round, rounds, paused | absent):
            for agent, reasons in self._hop(leg).items():
                rejected[agent] += len(reasons)
                if reasons:
                    told = ", ".join(reasons)
                    logger.warning("agent-%d, round %d: rejected %s", agent, round, told)
        traffic = self.result.ledger.for_round(round)
        for agent, values in metrics.items():
            sent, received = traffic.get(agent, (0, 0))
            values.update(bytes_sent=sent, bytes_received=received, rejected=rejected[agent])
        self._finish_round(round, began, metrics, health)

    def _train(self, round: int, absent: frozenset[int]) -> AgentMetrics:
        """Let the agents that are there train; those that are away say that they are."""
        self.script.strike("train", self.session)
        metrics = by_agent(self.session.call_all(Train(round, absent)))
        metrics.update((agent, {"absent": 1.0}) for agent in absent)
        return dict(sorted(metrics.items()))

    def _look(self, round: int, metrics: AgentMetrics) -> Health | None:
        """Look after the agents' health where it is due, and note what was found."""
        if self.watch is None or not self.watch.is_due(round):
            return None
        health = self.watch.look(round, self.session)
        for agent, reading in health.readings.items():
            values = metrics[agent]
            values["embedded_tokens"] = values.get("embedded_tokens", 0) + reading.tokens
            values["anchor_rank_share"] = reading.rank_share
            values["anchor_uniformity"] = reading.uniformity
            values["paused"] = int(agent in health.paused)
        return health

    def _finish_round(
        self, round: int, began: float, metrics: AgentMetrics, health: Health | None = None
    ) -> None:
        rounds = self.config.training.rounds
        evaluation: AgentMetrics = {}
        if self.config.evaluation.is_due(round, rounds):
            self.script.strike("evaluate", self.session)
            known = self.before if round == 0 else None
            evaluation = known or self._evaluate()
        for agent, values in evaluation.items():
            metrics[agent] = {**metrics.get(agent, {}), **values}
        if self.timeline is not None:
            self.timeline.tell(metrics)
        report = RoundReport(
            arm=self.name,
            round=round,
            rounds=rounds,
            metrics=metrics,
            evaluation=evaluation,
            round_s=time.perf_counter() - began,
            total_bytes=self.result.ledger.total(),
            health=health,
            faults=self.script.counts,
        )
        self.result.rounds.append(report)
        self.on_round(report)

    def _evaluate(self) -> AgentMetrics:
        count = self.config.evaluation.agents
        chosen = None if count is None else self.config.some_agents(count)
        return by_agent(self.session.call_all(Evaluate(chosen)))

    def _hop(self, leg: ScheduledHop) -> dict[int, list[str]]:
        """Let the hop's senders compose, and its receivers merge; return what was rejected."""
        expected, leg = leg, self.script.open(leg)
        self.script.strike("compose", self.session)
        outboxes = self.session.call(self._compositions(leg))
        incoming: dict[int, list[tuple[int, int]]] = {agent: [] for _, agent in leg.hop.edges}
        for number, outbox in enumerate(outboxes.values()):
            sizes = zip(outbox.envelopes, outbox.payload_bytes, outbox.fp32_bytes, strict=True)
            # By sender: in which order a host's agents spoke must not show.
            for index, (envelope, size, without) in sorted(enumerate(sizes), key=_sender):
                sender, recipients, kind = envelope.sender, envelope.recipients, envelope.kind
                for receiver in recipients:
                    incoming[receiver].append((number, index))
                self.result.ledger.record_message(
                    leg.round, leg.number, sender, recipients, kind, size, without
                )
        boxes = list(outboxes.values())
        lateness = self.timeline.lateness if self.timeline else None
        mail = self.script.carry(expected, leg, boxes, incoming, self.result.ledger, lateness)
        if self.timeline is not None:
            self.timeline.wait(mail.waits)
        deliveries = self._deliveries(leg, boxes, mail)
        handles = [outbox.handle for outbox in boxes]
        calls = {
            host: Merge(*_needed(handles, batch), leg.part) for host, batch in deliveries.items()
        }
        self.script.strike("merge", self.session)
        rejected = by_agent(self.session.call(calls))
        self.script.settle(mail, rejected)
        return rejected

    def _compositions(self, leg: ScheduledHop) -> dict[int, Compose]:
        turns: dict[int, dict[int, Any]] = {}
        senders = sorted({sender for sender, _ in leg.hop.edges})
        shared: dict[Any, Any] = {}  # what is equal is sent to a host once
        for agent, turn in turns_of(self.network, leg, senders).items():
            host, recipients = self.session.placement[agent], leg.hop.recipients(agent)
            addressed = shared.setdefault((id(turn), recipients), (turn, recipients))
            turns.setdefault(host, {})[agent] = addressed
        lies = self.script.lies(leg, senders)
        return {
            host: Compose(own, leg.part, {agent: lies[agent] for agent in own if agent in lies})
            for host, own in turns.items()
        }

    def _deliveries(
        self, leg: ScheduledHop, outboxes: Sequence[Outbox], mail: Mail
    ) -> dict[int, dict[int, Delivery]]:
        from agents.hosting.delivery import Delivery

        deliveries: dict[int, dict[int, Delivery]] = {}
        checked = self.arm.checksums
        shared: dict[Any, Delivery] = {}  # what is equal is sent to a host once
        for agent, turn in turns_of(self.network, leg, sorted(mail.inboxes)).items():
            letters = mail.inboxes[agent]
            senders, places = leg.hop.senders(agent), tuple(letter.place for letter in letters)
            damage = {i: letter.damage for i, letter in enumerate(letters) if letter.damage}
            fewest = mail.fewest.get(agent, 0)
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
        return deliveries


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


def _sender(letter: tuple[int, tuple[Heading, int, int]]) -> int:
    return letter[1][0].sender
