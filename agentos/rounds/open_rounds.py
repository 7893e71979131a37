"""Rounds that some agents have finished and others not yet: kept until all have, and recorded then."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from agentos.records.reports import AgentMetrics, ArmResult, Begun, RoundReport, by_agent
from agentos.rounds.clock.timeline import SIMULATED
from agentos.rounds.health.collapse import Health, Reading, collapse
from agentos.runtime.host_calls import Evaluate

if TYPE_CHECKING:
    from agentos.config.run import RunConfig
    from agentos.rounds.health.monitor import HealthMonitor, Look
    from agentos.rounds.mailbox import Opened
    from agentos.runtime import Session

logger = logging.getLogger(__name__)


class OpenRounds:
    """Gathers what each agent did in each of its rounds, evaluates it at the end of them, and reports.

    Args:
        config: of the run.
        session: hosts that are up.
        name: of the arm.
        on_round: called for each round that all agents have finished, in order.
        result: to which the round is added then.
        watch: looks for agents that collapse; None for no watch.

    Attributes:
        paused: agents whose exchange is paused, as each was when it last looked.
    """

    def __init__(
        self,
        config: RunConfig,
        session: Session,
        name: str,
        on_round: Callable[[RoundReport], None],
        result: ArmResult,
        watch: HealthMonitor | None,
    ) -> None:
        self.config = config
        self.session = session
        self.name = name
        self.on_round = on_round
        self.result = result
        self.watch = watch
        self.paused: set[int] = set()
        self._began = time.perf_counter()
        self._metrics: dict[int, AgentMetrics] = defaultdict(dict)
        self._evaluation: dict[int, AgentMetrics] = defaultdict(dict)
        self._looks: dict[int, dict[int, Look]] = defaultdict(dict)
        self._finished: dict[int, int] = defaultdict(int)

    def begin(self, agents: Mapping[int, float]) -> None:
        """Record the untrained agents."""
        self._metrics[0] = {agent: {} for agent in agents}
        self.close(dict.fromkeys(agents, 0), agents)

    def go_on(self, begun: Begun) -> None:
        """Go on after rounds that were recorded."""
        self.result.rounds.extend(begun.rounds)
        self.result.ledger = begun.checkpoint.ledger()
        self.paused = set(begun.checkpoint.manifest.paused)

    @property
    def memory(self) -> dict[str, Any]:
        """What is known of rounds that are not over; see `recall`."""
        return {
            "metrics": dict(self._metrics),
            "evaluation": dict(self._evaluation),
            "looks": {
                round: {agent: (astuple(reading), rows) for agent, (reading, rows) in looks.items()}
                for round, looks in self._looks.items()
            },
            "finished": {r: count for r, count in self._finished.items() if r >= self._upcoming},
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on with what another knew of rounds that are not over."""
        self._metrics.update(memory["metrics"])
        self._evaluation.update(memory["evaluation"])
        for round, looks in memory["looks"].items():
            self._looks[round] = {a: (Reading(*read), rows) for a, (read, rows) in looks.items()}
        self._finished.update(memory["finished"])

    def trained(self, rounds: Mapping[int, int], metrics: AgentMetrics) -> None:
        """Note what training reported, and look after the agents' health where it is due."""
        for agent, round in rounds.items():
            self._metrics[round][agent] = {**metrics[agent], "rejected": 0}
        watch = self.watch
        due = [] if watch is None else [a for a, round in rounds.items() if watch.is_due(round)]
        if watch is None or not due:
            return
        for agent, look in watch.ask(self.session, due).items():
            round, reading = rounds[agent], look[0]
            self._looks[round][agent] = look
            values = self._metrics[round][agent]
            values["embedded_tokens"] = values.get("embedded_tokens", 0) + reading.tokens
            values["anchor_rank_share"] = reading.rank_share
            values["anchor_uniformity"] = reading.uniformity
            values["paused"] = int(collapse(reading, watch.config) is not None)
            (self.paused.add if values["paused"] else self.paused.discard)(agent)

    def merged(
        self, agent: int, round: int, found: Opened, ages: Sequence[int], rejected: Sequence[str]
    ) -> None:
        """Note what an agent merged on a hop, how many rounds behind each was, and what it refused."""
        values = self._metrics[round][agent]
        counts = {
            "rejected": len(rejected),
            "messages_merged": len(ages) - len(rejected),
            "messages_stale": found.stale,
            "messages_superseded": found.superseded,
            "rounds_behind": sum(ages),
        }
        for name, count in counts.items():
            values[name] = values.get(name, 0) + count
        if rejected:
            told = ", ".join(rejected)
            logger.warning("agent-%d, round %d: rejected %s", agent, round, told)

    def close(self, rounds: Mapping[int, int], now: Mapping[int, float]) -> None:
        """End a round of each of some agents: evaluate them where it is due, report what all have ended."""
        last, due = self.config.training.rounds, self.config.evaluation.is_due
        found = self.evaluate([agent for agent, round in rounds.items() if due(round, last)])
        for agent, values in found.items():
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
        """Measure those of some agents that the run evaluates."""
        chosen = self.config.some_agents(self.config.evaluation.agents)
        calls = by_host(self.session.placement, dict.fromkeys({*agents} & {*chosen}))
        if not calls:
            return {}
        return by_agent(self.session.call({host: Evaluate(list(a)) for host, a in calls.items()}))

    def _report(self, round: int) -> None:
        metrics = dict(sorted(self._metrics.pop(round).items()))
        evaluation = dict(sorted(self._evaluation.pop(round, {}).items()))
        traffic = self.result.ledger.for_round(round)
        for agent, values in metrics.items():
            if round:
                sent, received = traffic.get(agent, (0, 0))
                values.update(bytes_sent=sent, bytes_received=received)
            values.update(evaluation.get(agent, {}))
        now = time.perf_counter()
        report = RoundReport(
            arm=self.name,
            round=round,
            rounds=self.config.training.rounds,
            metrics=metrics,
            evaluation=evaluation,
            round_s=now - self._began,
            total_bytes=self.result.ledger.total(),
            health=self._health(round),
        )
        self._began = now
        self.result.rounds.append(report)
        self.on_round(report)

    def _health(self, round: int) -> Health | None:
        looks = self._looks.pop(round, {})
        return self.watch.conclude(round, looks) if self.watch and looks else None


def by_host(placement: Mapping[int, int], values: Mapping[int, Any]) -> dict[int, dict[int, Any]]:
    """Sort what is for agents by the hosts that they live on, both ascending."""
    found: dict[int, dict[int, Any]] = {}
    for agent in sorted(values):
        found.setdefault(placement[agent], {})[agent] = values[agent]
    return dict(sorted(found.items()))
