"""Rounds that some agents have finished and others not yet: kept until all have, and recorded then."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from agentos.records.reports import AgentMetrics, ArmResult, RoundReport
from agentos.rounds.base import (
    RoundServices,
    RoundsPlan,
    add_reading,
    by_host,
    diverged_of,
    pause_diverged,
    warn_of_rejected,
)
from agentos.rounds.clock.timeline import SIMULATED
from agentos.rounds.final_states import add_joint
from agentos.rounds.health.collapse import Health, Reading, collapse
from agentos.rounds.health.monitor import ProbeAnswer
from agentos.rounds.mailbox import Opened
from agentos.runtime import Session
from agentos.runtime.host_calls import Evaluate


class OpenRounds:
    """Collects what each agent did in each of its rounds, evaluates it at their ends, and reports.

    Args:
        plan: the rounds.
        session: hosts that are up.
        services: parts of the run to report to, in the order of rounds.
        result: result that a round is added to when all agents have finished it.

    Attributes:
        paused: agents whose exchange is paused, as of each agent's last probe.
    """

    def __init__(
        self, plan: RoundsPlan, session: Session, services: RoundServices, result: ArmResult
    ) -> None:
        self.plan = plan
        self.session = session
        self.services = services
        self.result = result
        self.paused: set[int] = set()
        self._began = time.perf_counter()
        self._metrics: dict[int, AgentMetrics] = defaultdict(dict)
        self._evaluation: dict[int, AgentMetrics] = defaultdict(dict)
        self._probes: dict[int, dict[int, ProbeAnswer]] = defaultdict(dict)
        self._finished: dict[int, int] = defaultdict(int)

    def begin(self, agents: Mapping[int, float]) -> None:
        """Record the untrained agents."""
        self._metrics[0] = {agent: {} for agent in agents}
        self.close(dict.fromkeys(agents, 0), agents)

    @property
    def state(self) -> dict[str, Any]:
        """The rounds that are not over; see `restore`."""
        return {
            "metrics": dict(self._metrics),
            "evaluation": dict(self._evaluation),
            "probes": {
                round: {agent: (astuple(reading), rows) for agent, (reading, rows) in each.items()}
                for round, each in self._probes.items()
            },
            "finished": {r: count for r, count in self._finished.items() if r >= self._upcoming},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the rounds that were not over elsewhere."""
        self._metrics.update(state["metrics"])
        self._evaluation.update(state["evaluation"])
        for round, probes in state["probes"].items():
            self._probes[round] = {a: (Reading(*read), rows) for a, (read, rows) in probes.items()}
        self._finished.update(state["finished"])

    def trained(self, rounds: Mapping[int, int], metrics: AgentMetrics) -> None:
        """Record training metrics, and check the agents' health if it is due."""
        for agent, round in rounds.items():
            self._metrics[round][agent] = {**metrics[agent], "rejected": 0}
        self._check_health(rounds)
        current = {agent: self._metrics[round][agent] for agent, round in rounds.items()}
        pause_diverged(rounds, current)

    def is_paused(self, agent: int, round: int) -> bool:
        """Return whether an agent's exchange is paused in a round of its own."""
        return agent in self.paused or bool(self._metrics[round][agent].get("diverged"))

    def _check_health(self, rounds: Mapping[int, int]) -> None:
        monitor = self.services.monitor
        due = [a for a, round in rounds.items() if monitor is not None and monitor.is_due(round)]
        if monitor is None or not due:
            return
        self.services.on_phase(self.plan.name, self._upcoming, "monitoring")
        for agent, answer in monitor.probe(self.session, due).items():
            round, reading = rounds[agent], answer[0]
            self._probes[round][agent] = answer
            is_paused = collapse(reading, monitor.config) is not None
            add_reading(self._metrics[round][agent], reading, is_paused)
            (self.paused.add if is_paused else self.paused.discard)(agent)

    def merged(
        self, agent: int, round: int, opened: Opened, ages: Sequence[int], rejected: Sequence[str]
    ) -> None:
        """Record what an agent merged on a hop, how many rounds behind each was, and what it rejected."""
        values = self._metrics[round][agent]
        counts = {
            "rejected": len(rejected),
            "messages_merged": len(ages) - len(rejected),
            "messages_stale": opened.stale,
            "messages_superseded": opened.superseded,
            "rounds_behind": sum(ages),
        }
        for name, count in counts.items():
            values[name] = values.get(name, 0) + count
        warn_of_rejected(agent, round, rejected)

    def close(self, rounds: Mapping[int, int], now: Mapping[int, float]) -> None:
        """End one round of each of some agents: evaluate where due, and report rounds that all have ended."""
        due = [agent for agent, round in rounds.items() if self.plan.is_evaluated(round)]
        for agent, values in self.evaluate(due).items():
            self._evaluation[rounds[agent]][agent] = values
        for agent, round in rounds.items():
            self._metrics[round][agent][SIMULATED] = now[agent]
            self._finished[round] += 1
        agents = len(self.session.placement)
        while self._finished[upcoming := self._upcoming] == agents:
            self._report(upcoming)

    @property
    def _upcoming(self) -> int:
        return self.result.finished + 1 if self.result.rounds else 0

    def evaluate(self, agents: Sequence[int]) -> AgentMetrics:
        """Evaluate those of some agents that the run evaluates."""
        chosen = {*agents}
        if self.plan.evaluated is not None:
            chosen &= {*self.plan.evaluated}
        grouped = by_host(self.session.placement, dict.fromkeys(chosen))
        if not grouped:
            return {}
        self.services.on_phase(self.plan.name, self._upcoming, "evaluating")
        calls = {host: Evaluate(list(mine)) for host, mine in grouped.items()}
        return self.session.ask(calls)

    def _report(self, round: int) -> None:
        metrics = dict(sorted(self._metrics.pop(round).items()))
        evaluation = dict(sorted(self._evaluation.pop(round, {}).items()))
        traffic = self.result.ledger.for_round(round)
        for agent, values in metrics.items():
            if round:
                sent, received = traffic.get(agent, (0, 0))
                values.update(bytes_sent=sent, bytes_received=received)
            values.update(evaluation.get(agent, {}))
        if joint := self.plan.joint_after(round):
            add_joint(self.session, joint, metrics, evaluation)
        diverged, now = len(diverged_of(metrics)), time.perf_counter()
        report = RoundReport(
            arm=self.plan.name,
            round=round,
            rounds=self.plan.rounds,
            metrics=metrics,
            evaluation=evaluation,
            round_s=now - self._began,
            total_bytes=self.result.ledger.total(),
            health=self._health(round),
            faults={"diverged": diverged} if diverged else {},
        )
        self._began = now
        self.result.rounds.append(report)
        self.services.on_round(report)

    def _health(self, round: int) -> Health | None:
        probes, monitor = self._probes.pop(round, {}), self.services.monitor
        return monitor.judge(round, probes) if monitor and probes else None
