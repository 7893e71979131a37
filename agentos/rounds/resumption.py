"""Resuming a run that stopped, and branching off from one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentos.records.checkpoints import Checkpoint, checkpoints_of, copy
from agentos.records.layout import SUMMARY, TOGETHER
from agentos.records.reader import RunRecord, load_run
from agentos.records.reports import AgentMetrics, ArmResult, Begun, RoundReport
from agentos.rounds.async_snapshot import SNAPSHOT
from protocols.errors import ConfigurationError, RecordError
from protocols.ledger import Ledger


@dataclass(frozen=True)
class Resumption:
    """The point from which a run continues.

    Attributes:
        finished: the arms that ran to their end.
        begun: the arm that continues from a checkpoint; empty where the run begins anew.
        branches: whether it continues in a folder of its own.
        afresh: whether its exchange is another than before.
    """

    finished: dict[str, ArmResult] = field(default_factory=dict)
    begun: dict[str, Begun] = field(default_factory=dict)
    branches: bool = False
    afresh: bool = False

    def into(self, directory: Path) -> Resumption:
        """Copy the checkpoint of a branch into its own folder."""
        begun = {
            arm: replace(each, checkpoint=copy(each.checkpoint, directory, self.afresh))
            for arm, each in self.begun.items()
        }
        return replace(self, begun=begun)

    def last_round(self, arm: str) -> int:
        """Return the last round of an arm that is kept; -1 for none."""
        if arm in self.begun:
            return self.begun[arm].checkpoint.manifest.round
        return self.finished[arm].finished if arm in self.finished else -1


def resumption(directory: Path, round: int | None = None) -> Resumption:
    """Find the point from which a stopped run can continue: its latest checkpoint, or that of a round.

    Raises:
        RecordError: there is no run in the folder, it has finished, or its records are damaged.
        ConfigurationError: there is no checkpoint of the round.
    """
    record = load_run(directory)
    if round is None and record.summary and record.summary.get("status") == "finished":
        raise RecordError(
            f"The run in {directory} has finished",
            expected=f"a run that was interrupted, or failed: see its {SUMMARY}",
            actual="finished",
            hint="branch off from it with 'agentos fork', or begin a new one with 'agentos run'",
        )
    found = checkpoints_of(directory)
    if not found and round is None:
        return Resumption()
    chosen = found[-1] if round is None else _of_round(found, round, directory)
    arm = chosen.manifest.arm
    begun = {arm: Begun(chosen, _reports(record, arm, chosen.manifest.round))}
    if arm == TOGETHER:
        return Resumption(begun=begun)
    together = ArmResult(list(_reports(record, TOGETHER)), record.ledger or Ledger())
    return Resumption({TOGETHER: together}, begun)


def branch(directory: Path, round: int, rounds: int, afresh: bool) -> Resumption:
    """Return the point at which a new run branches off from another: after one of its rounds.

    Args:
        directory: of the run to branch off from.
        round: the round after which the new run differs.
        rounds: of the new run.
        afresh: whether its exchange is another, so that the state of the old one is discarded.

    Raises:
        RecordError: there is no run in the folder, or its records are damaged.
        ConfigurationError: there is no checkpoint of the round, or the new run is no longer.
    """
    if rounds <= round:
        raise ConfigurationError(
            f"a run of {rounds} rounds has nothing left to do after round {round}",
            actual=rounds,
            hint="raise training.rounds, or branch off earlier",
        )
    record = load_run(directory)
    chosen = _of_round(checkpoints_of(directory), round, directory)
    if SNAPSHOT in chosen.manifest.files:
        raise ConfigurationError(
            f"no run can branch off from {directory}: its agents do not wait for each other, and are in "
            f"different rounds when the last one has ended round {round}",
            expected="a run with clock.mode=synchronous, or without a clock",
            hint="continue it with 'agentos resume', or begin a new run",
        )
    begun = Begun(chosen, _reports(record, TOGETHER, round))
    return Resumption(begun={TOGETHER: begun}, branches=True, afresh=afresh)


def _of_round(found: Sequence[Checkpoint], round: int, directory: Path) -> Checkpoint:
    for checkpoint in found:
        if checkpoint.manifest.round == round and checkpoint.manifest.arm == TOGETHER:
            return checkpoint
    kept = [str(each.manifest.round) for each in found if each.manifest.arm == TOGETHER]
    raise ConfigurationError(
        f"{directory} has no checkpoint after round {round}",
        expected=f"one of the rounds {', '.join(kept)}" if kept else "a run with checkpoints",
        actual=round,
        hint="choose one that was kept; checkpoints.keep and checkpoints.every set how many there are",
    )


def _reports(record: RunRecord, arm: str, last: float = math.inf) -> tuple[RoundReport, ...]:
    """Rebuild the reports of an arm's rounds from its records."""
    rows = record.metrics if arm == TOGETHER else record.isolated or []
    rounds = max((row["round"] for row in rows), default=0)
    by_round: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["round"] <= last:
            by_round.setdefault(row["round"], []).append(row)
    return tuple(
        _report(arm, number, rounds, by_round[number], record) for number in sorted(by_round)
    )


def _report(
    arm: str, number: int, rounds: int, rows: list[dict[str, Any]], record: RunRecord
) -> RoundReport:
    metrics: AgentMetrics = {}
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("round", "agent")}
        agent = int(row["agent"].removeprefix("agent-"))
        metrics[agent] = {key: math.nan if v is None else v for key, v in values.items()}
    seconds = [values.pop("round_s", 0.0) for values in metrics.values()]
    evaluation = {
        agent: {name: values[name] for name in record.meanings if name in values}
        for agent, values in metrics.items()
    }
    return RoundReport(
        arm=arm,
        round=number,
        rounds=rounds,
        metrics=metrics,
        evaluation=evaluation if any(evaluation.values()) else {},
        round_s=max(seconds, default=0.0),
        total_bytes=0,
        faults=_faults(record, number) if arm == TOGETHER else {},
    )


def _faults(record: RunRecord, round: int) -> dict[str, int]:
    """Return how often each kind of fault struck in a round, by the records."""
    return next((line["struck"] for line in record.faults if line["round"] == round), {})
