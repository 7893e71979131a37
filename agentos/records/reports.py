"""What came of a round, and of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from protocols.ledger import Ledger

if TYPE_CHECKING:
    from agentos.records.checkpoints import Checkpoint
    from agentos.rounds.health.collapse import Health

Value = TypeVar("Value")
AgentMetrics = dict[int, dict[str, float]]


@dataclass(frozen=True)
class RoundReport:
    """What happened in one round; round 0 is the state before training.

    Attributes:
        metrics: of each agent: training, bytes, and evaluation where it was due.
        evaluation: of each agent, evaluation alone; empty where it was not due.
        round_s: wall time.
        health: what a look at the agents found; None where none was due.
        faults: how often each kind of fault struck, and how often the policy had to act.
    """

    arm: str
    round: int
    rounds: int
    metrics: AgentMetrics
    evaluation: AgentMetrics
    round_s: float
    total_bytes: int
    health: Health | None = None
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
        number: of the restart, from 1.
        arm, round: the round that was under way.
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
    """What came of a whole run or of its baseline."""

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


def by_agent(answers: Mapping[int, Mapping[int, Value]]) -> dict[int, Value]:
    """Merge the hosts' answers, agents ascending: packing must not show."""
    merged = {agent: value for answer in answers.values() for agent, value in answer.items()}
    return dict(sorted(merged.items()))
