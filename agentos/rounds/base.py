"""The part of a coordinator that does not depend on whether agents wait for each other."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agentos.evaluation.config import EvaluationConfig
from agentos.evaluation.joint.joint_plan import JointPlan
from agentos.records.checkpoints import Checkpoint, Checkpoints
from agentos.records.reports import AgentMetrics, ArmResult, Begun, RoundReport
from agentos.rounds.health.collapse import Reading
from agentos.rounds.health.monitor import HealthMonitor
from agentos.runtime import Session
from agentos.runtime.host_calls import Begin, Restore, Snapshot
from agents.training.blueprint import Arm
from protocols.errors import RecordError
from protocols.topologies import Network

Value = TypeVar("Value")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundsPlan:
    """The rounds of one arm of a run.

    Attributes:
        name: the arm's name in the records.
        arm: the exchange, and what else distinguishes the arms.
        network: the agents and the edges between them.
        rounds: number of rounds.
        evaluation: when agents are evaluated.
        evaluated: agents that are; None for all.
        before: evaluation of the untrained agents, where another arm has measured it.
        joint: evaluation of joint embeddings after the last round; None for none.
    """

    name: str
    arm: Arm
    network: Network
    rounds: int
    evaluation: EvaluationConfig
    evaluated: tuple[int, ...] | None = None
    before: AgentMetrics | None = None
    joint: JointPlan | None = None

    def is_evaluated(self, round: int) -> bool:
        """Return whether agents are evaluated after a round."""
        return self.evaluation.is_due(round, self.rounds)

    def joint_after(self, round: int) -> JointPlan | None:
        """Return the joint evaluation that is due after a round: after the last one, if there is any."""
        return self.joint if round == self.rounds else None


@dataclass(frozen=True)
class RoundServices:
    """The parts of a run that a coordinator reports to.

    Attributes:
        on_round: called after every finished round, in order.
        monitor: detects agents that collapse; None if there is none.
        checkpoints: writer of checkpoints; None to write none.
        on_phase: called with the arm, the round and the phase when a phase of a round begins.
    """

    on_round: Callable[[RoundReport], None]
    monitor: HealthMonitor | None = None
    checkpoints: Checkpoints | None = None
    on_phase: Callable[[str, int, str], None] = lambda arm, round, phase: None

    @property
    def paused(self) -> frozenset[int]:
        """Agents whose exchange is paused."""
        return self.monitor.paused if self.monitor else frozenset()

    def pause(self, agents: Sequence[int]) -> None:
        """Set which agents' exchange is paused."""
        if self.monitor is not None:
            self.monitor.paused = frozenset(agents)

    def is_checkpoint_due(self, round: int, rounds: int) -> bool:
        """Return whether a checkpoint is written after a round."""
        return self.checkpoints is not None and self.checkpoints.is_due(round, rounds)


class Coordinator(ABC):
    """Takes a society through its rounds.

    Args:
        plan: the rounds.
        session: hosts that are up.
        services: parts of the run to report to.
    """

    def __init__(self, plan: RoundsPlan, session: Session, services: RoundServices) -> None:
        self.plan = plan
        self.session = session
        self.services = services
        self.result = ArmResult()

    def phase(self, round: int, phase: str) -> None:
        """Report that a phase of a round begins."""
        self.services.on_phase(self.plan.name, round, phase)

    def run(self, begun: Begun | None = None) -> None:
        """Run every round; `result` holds those that are finished, after an interruption too.

        Args:
            begun: earlier rounds, and the checkpoint after the last of them.
        """
        self.session.call_all(Begin(self.plan.arm))
        self.services.pause(())
        if begun is None:
            self._start()
        else:
            self.result.rounds.extend(begun.rounds)
            self.result.ledger = begun.checkpoint.ledger()
            restore(self.session, begun.checkpoint)
            self.services.pause(begun.checkpoint.manifest.paused)
            self._resume(begun)
        self._run_rounds()

    @abstractmethod
    def _start(self) -> None:
        """Report round 0, the untrained agents."""

    @abstractmethod
    def _resume(self, begun: Begun) -> None:
        """Take over what a checkpoint holds besides agents, ledger and pauses."""

    @abstractmethod
    def _run_rounds(self) -> None:
        """Run the rounds that are left."""


def save_states(session: Session, folder: Path) -> dict[int, str]:
    """Write every agent's state into a folder; return the SHA-256 of each file."""
    answers = session.call_all(Snapshot(folder))
    return {agent: sha for digests in answers.values() for agent, sha in digests.items()}


def restore(session: Session, checkpoint: Checkpoint) -> None:
    """Restore the agents of a session from a checkpoint; see `agents.hosting.host.Host.restore`.

    Raises:
        RecordError: the checkpoint is damaged, or holds other agents.
    """
    manifest = checkpoint.manifest
    if manifest.agents.keys() != session.placement.keys():
        raise RecordError(
            f"the checkpoint {checkpoint.directory} holds other agents",
            expected=f"{len(session.placement)} agents",
            actual=f"{len(manifest.agents)}",
            hint="do not change the number of agents",
        )
    session.call_all(Restore(checkpoint.directory, manifest.agents, manifest.afresh))


def by_host(
    placement: Mapping[int, int], values: Mapping[int, Value]
) -> dict[int, dict[int, Value]]:
    """Group values of agents by the hosts that the agents live on, both ascending."""
    found: dict[int, dict[int, Value]] = {}
    for agent in sorted(values):
        found.setdefault(placement[agent], {})[agent] = values[agent]
    return dict(sorted(found.items()))


def add_reading(values: dict[str, float], reading: Reading, is_paused: bool) -> None:
    """Add what the health monitor measured to an agent's metrics of the round."""
    values["embedded_tokens"] = values.get("embedded_tokens", 0) + reading.tokens
    values["anchor_rank_share"] = reading.rank_share
    values["anchor_uniformity"] = reading.uniformity
    values["paused"] = int(is_paused)


def diverged_of(metrics: AgentMetrics) -> frozenset[int]:
    """Return the agents whose round was undone, as their numbers were not finite."""
    return frozenset(agent for agent, values in metrics.items() if values.get("diverged"))


def pause_diverged(rounds: Mapping[int, int], metrics: AgentMetrics) -> None:
    """Mark agents whose rounds were undone as paused in the metrics, and log them."""
    for agent in sorted(diverged_of(metrics)):
        metrics[agent]["paused"] = 1
        logger.warning(
            "agent-%d, round %d: its loss or its parameters are not finite; the round is undone, and its "
            "exchange paused in it",
            agent,
            rounds[agent],
        )


def warn_of_rejected(agent: int, round: int, reasons: Sequence[str]) -> None:
    """Log the reasons for which an agent rejected messages, if it rejected any."""
    if reasons:
        logger.warning("agent-%d, round %d: rejected %s", agent, round, ", ".join(reasons))
