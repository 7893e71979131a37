"""Reports of a round and of all rounds of an arm: values that coordinators make and records keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agentos.records.checkpoints import Checkpoint
from protocols.ledger import Ledger

AgentMetrics = dict[int, dict[str, float]]


class HealthReport(Protocol):
    """The health of the agents after a round, if it is recorded."""

    @property
    def cka(self) -> Mapping[tuple[int, int], float]:
        """Linear CKA of each pair of neighbours."""

    @property
    def paused(self) -> Mapping[int, str]:
        """Agents whose exchange is paused, each with the reason."""


@dataclass(frozen=True)
class RoundReport:
    """The report of one round; round 0 is the state before training.

    Attributes:
        arm: one of `agentos.records.layout.ARMS`.
        round, rounds: the number of the round, and of all rounds.
        metrics: agent -> training, bytes, and evaluation if it was due.
        evaluation: agent -> evaluation only; empty if it was not due.
        round_s: wall time.
        total_bytes: serialised bytes of all deliveries up to this round.
        health: the health of the agents; None if it was not monitored in this round.
        faults: number of times that each kind of fault struck and that the policy acted.
    """

    arm: str
    round: int
    rounds: int
    metrics: AgentMetrics
    evaluation: AgentMetrics
    round_s: float
    total_bytes: int
    health: HealthReport | None = None
    faults: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Begun:
    """An arm that was run up to a checkpoint.

    Attributes:
        rounds: its reports up to the checkpoint.
    """

    checkpoint: Checkpoint
    rounds: tuple[RoundReport, ...]


@dataclass(frozen=True)
class Restart:
    """A return of the run to its last checkpoint, after hosts were lost.

    Attributes:
        number: the restart's number, from 1.
        arm, round: the round in progress.
        back_to: the round that it went back to; 0 for the beginning.
        hosts: the hosts that were replaced.
        why: the failure that was observed.
    """

    number: int
    arm: str
    round: int
    back_to: int
    hosts: tuple[int, ...]
    why: str


@dataclass
class ArmResult:
    """The rounds and the bytes of a run or of its baseline."""

    rounds: list[RoundReport] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def before(self) -> AgentMetrics:
        """Evaluation of the untrained agents."""
        return self.rounds[0].evaluation if self.rounds else {}

    @property
    def after(self) -> AgentMetrics:
        """The last evaluation."""
        return next((r.evaluation for r in reversed(self.rounds) if r.evaluation), {})

    @property
    def finished(self) -> int:
        """Rounds that were finished."""
        return max((report.round for report in self.rounds), default=0)

    def total(self, metric: str) -> float:
        """Sum a training metric over agents and rounds."""
        return sum(metrics.get(metric, 0.0) for r in self.rounds for metrics in r.metrics.values())

    @property
    def wall_s(self) -> float:
        """Seconds spent in rounds, the first evaluation included."""
        return sum(report.round_s for report in self.rounds)

    @property
    def simulated_s(self) -> float | None:
        """Simulated seconds until the last agent ended its last round; None without a clock."""
        ends = (
            m["simulated_s"] for r in self.rounds for m in r.metrics.values() if "simulated_s" in m
        )
        return max(ends, default=None)
