"""Resuming a run that stopped, and branching off from one."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentos.records.atomic_files import reading
from agentos.records.checkpoints import Checkpoint, checkpoints_of, copy
from agentos.records.identity.fingerprint import TEXT, Fingerprint, read_fingerprints
from agentos.records.layout import ARMS, CONFIG, SUMMARY, TOGETHER
from agentos.records.reader import RunRecord, load_run
from agentos.records.reports import AgentMetrics, ArmResult, Begun, RoundReport
from agentos.rounds.async_snapshot import SNAPSHOT
from protocols.errors import ConfigurationError, DataError, RecordError
from protocols.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resumption:
    """The point from which a run continues.

    Attributes:
        finished: the arms that ran to their end.
        begun: the arm that continues from a checkpoint; empty if the run begins anew.
        branches: whether it continues in its own folder.
        afresh: whether its exchange differs from the original run's.
        source: the folder of the run; None for a new one.
        before: its configuration, as it was recorded.
        recorded: the fingerprints of the data that it read; see `agentos.records.identity.fingerprint`.
        changed_data_ok: whether it continues on data that has changed since.
    """

    finished: dict[str, ArmResult] = field(default_factory=dict)
    begun: dict[str, Begun] = field(default_factory=dict)
    branches: bool = False
    afresh: bool = False
    source: Path | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    recorded: tuple[Fingerprint, ...] = ()
    changed_data_ok: bool = False

    def require_same_data(self, found: Fingerprint, config: Mapping[str, Any]) -> None:
        """Require that the run reads the data that it read before, as far as the configuration is the same.

        Args:
            found: the fingerprint of the data now.
            config: the configuration with which the run continues, as plain values.

        Raises:
            DataError: something differs, and that is not allowed.
        """
        if self.source is None:
            return
        if not self.recorded:
            logger.warning("%s holds no digests of its data to compare with", self.source)
        if self.branches and any(
            config[part] != self.before.get(part) for part in ("data", "seed")
        ):
            logger.warning("the data is configured otherwise than for the run in %s", self.source)
            found = found.without((*TEXT, "tokenizers"))
        try:
            found.require(self.recorded[-1:], self.source)
        except DataError as error:
            if not self.changed_data_ok:
                raise
            logger.warning("%s: %s", error.message, error.actual)

    def fingerprints(self, found: Fingerprint) -> tuple[Fingerprint, ...]:
        """Return the fingerprints of all data that the run has read, with that of the data now."""
        return self.recorded if found in self.recorded[-1:] else (*self.recorded, found)

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


def resumption(
    directory: Path, round: int | None = None, changed_data_ok: bool = False
) -> Resumption:
    """Find the point from which a stopped run can continue.

    Args:
        directory: of the run.
        round: the round whose checkpoint it goes back to; None for the latest checkpoint that agrees with the
            records.
        changed_data_ok: whether the run may continue on data that has changed since.

    Raises:
        RecordError: there is no run in the folder, it has finished, its records are damaged, or no checkpoint
            agrees with them.
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
    start = Resumption(
        source=directory,
        before=record.config,
        recorded=read_fingerprints(directory),
        changed_data_ok=changed_data_ok,
    )
    found = checkpoints_of(directory, warn=True)
    if not found and round is None:
        return start
    chosen = _latest(found) if round is None else _agreeing(_of_round(found, round, directory))
    arm = chosen.manifest.arm
    with reading(directory):
        begun = {arm: Begun(chosen, _reports(record, arm, chosen.manifest.round))}
    if arm == TOGETHER:
        return replace(start, begun=begun)
    with reading(directory):
        finished = {
            TOGETHER: ArmResult(list(_reports(record, TOGETHER)), record.ledger or Ledger())
        }
        for before in ARMS[1 : ARMS.index(arm)]:
            if record.rows(before):
                finished[before] = ArmResult(list(_reports(record, before)), Ledger())
    return replace(start, finished=finished, begun=begun)


def branch(
    directory: Path, round: int, rounds: int, afresh: bool, changed_data_ok: bool = False
) -> Resumption:
    """Return the point at which a new run branches off from another: after one of its rounds.

    Args:
        directory: folder of the run to branch off from.
        round: the round after which the new run differs.
        rounds: number of rounds in the new run.
        afresh: whether its exchange is another, so that the state of the old one is discarded.
        changed_data_ok: whether it may continue on data that has changed since.

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
    chosen = _agreeing(_of_round(checkpoints_of(directory, warn=True), round, directory))
    if SNAPSHOT in chosen.manifest.files:
        raise ConfigurationError(
            f"no run can branch off from {directory}: its agents do not wait for each other, and are in "
            f"different rounds when the last one has ended round {round}",
            expected="a run with clock.mode=synchronous, or without a clock",
            hint="continue it with 'agentos resume', or begin a new run",
        )
    with reading(directory):
        begun = Begun(chosen, _reports(record, TOGETHER, round))
    return Resumption(
        begun={TOGETHER: begun},
        branches=True,
        afresh=afresh,
        source=directory,
        before=record.config,
        recorded=read_fingerprints(directory),
        changed_data_ok=changed_data_ok,
    )


def _latest(found: Sequence[Checkpoint]) -> Checkpoint:
    """Return the latest checkpoint that is whole, and agrees with the records of the run."""
    for checkpoint in reversed(found):
        refusal = _refusal(checkpoint)
        if refusal is None:
            return checkpoint
        logger.warning("%s", refusal.message)
    return _agreeing(found[-1])


def _agreeing(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint, if it is whole and agrees with the records of the run.

    Raises:
        RecordError: it does not.
    """
    refusal = _refusal(checkpoint)
    if refusal is not None:
        raise refusal
    return checkpoint


def _refusal(checkpoint: Checkpoint) -> RecordError | None:
    """Return what keeps a run from continuing here; asked before anything is removed from its records."""
    record = checkpoint.disagreement()
    if record is not None:
        return _disagreement(checkpoint, record)
    file = checkpoint.damage()
    if file is None:
        return None
    return RecordError(
        f"the checkpoint {checkpoint.directory / file} cannot be read",
        expected="the file that was written, with the SHA-256 in the manifest",
        actual="another one, or none",
        hint="resume from an earlier round with --round, or run again",
    )


def _disagreement(checkpoint: Checkpoint, record: str) -> RecordError:
    return RecordError(
        f"{record} is not what it was when the checkpoint {checkpoint.directory} was written",
        expected=f"all lines up to round {checkpoint.manifest.round}, as they were written",
        actual="lines that are missing, or were changed",
        hint=f"restore {record} from a copy, or run {CONFIG} again in another folder",
    )


def _of_round(found: Sequence[Checkpoint], round: int, directory: Path) -> Checkpoint:
    for checkpoint in found:
        if checkpoint.manifest.round == round and checkpoint.manifest.arm == TOGETHER:
            return checkpoint
    kept = [str(each.manifest.round) for each in found if each.manifest.arm == TOGETHER]
    raise ConfigurationError(
        f"{directory} has no checkpoint after round {round}",
        expected=f"one of the rounds {', '.join(kept)}" if kept else "a run with checkpoints",
        actual=round,
        hint="choose one that was kept; checkpoints.every and checkpoints.keep set how many there are, and "
        "without checkpoints.keep a run that has finished has none",
    )


def _reports(record: RunRecord, arm: str, last: float = math.inf) -> tuple[RoundReport, ...]:
    """Rebuild the reports of an arm's rounds from its records."""
    rows = record.rows(arm)
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
