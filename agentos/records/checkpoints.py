"""Checkpoints of a run: every agent's state after a round, and the ledger up to it.

A checkpoint is a folder ``checkpoints/ARM-ROUND/`` of the run. Its ``manifest.json`` holds the SHA-256 of
every other file and is written last, so a folder without one is not a checkpoint.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from agentos.records.atomic_files import replacing, writing
from agentos.records.checkpoint_config import CheckpointConfig
from agentos.records.layout import ARMS, CHECKPOINTS, LEDGER, MANIFEST
from agentos.records.ledger_file import read_ledger, write_ledger
from protocols.errors import RecordError
from protocols.ledger import Ledger
from protocols.spec import Spec


class Manifest(Spec):
    """The content of a checkpoint.

    Attributes:
        arm, round: the progress of the run.
        agents: the SHA-256 of each agent's file.
        ledger: the SHA-256 of the ledger.
        paused: agents whose exchange is paused.
        afresh: whether agents discard their exchange's state, because the exchange has changed since.
        late: messages in flight that will arrive too late: the round and the receiver of each.
        files: the SHA-256 of every other file, by name.
    """

    format: int = Field(1, ge=1, le=1)
    arm: str
    round: int = Field(ge=0)
    agents: dict[int, str]
    ledger: str
    paused: tuple[int, ...] = ()
    afresh: bool = False
    late: tuple[tuple[int, int], ...] = ()
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    directory: Path
    manifest: Manifest

    @property
    def progress(self) -> tuple[int, int]:
        """The progress of the run: index of the arm, then round."""
        return ARMS.index(self.manifest.arm), self.manifest.round

    def ledger(self) -> Ledger:
        """Return the ledger up to the checkpoint.

        Raises:
            RecordError: the file is missing or damaged.
        """
        path = self.directory / LEDGER
        if not path.is_file() or _digest(path) != self.manifest.ledger:
            raise RecordError(
                f"the ledger of the checkpoint {self.directory} is damaged",
                hint="resume from an earlier round, or run again",
            )
        return read_ledger(path)


@dataclass(frozen=True)
class Progress:
    """The progress of a run that a checkpoint records.

    Attributes:
        arm, round: under way, and the last one that is over.
        ledger: all deliveries so far.
        paused: agents whose exchange is paused.
        late: messages in flight that will arrive too late: the round and the receiver of each.
    """

    arm: str
    round: int
    ledger: Ledger
    paused: Collection[int] = ()
    late: tuple[tuple[int, int], ...] = ()


class Checkpoints:
    """The checkpoints of a run folder.

    Args:
        run: the run folder.
        config: when they are due, and how many to keep.
    """

    def __init__(self, run: Path, config: CheckpointConfig) -> None:
        self.directory = run.absolute() / CHECKPOINTS
        self.config = config

    def write(
        self,
        progress: Progress,
        save_states: Callable[[Path], Mapping[int, str]],
        save_more: Callable[[Path], dict[str, str]] = lambda folder: {},
    ) -> None:
        """Write a checkpoint, and remove the oldest ones.

        Args:
            progress: of the run.
            save_states: writes the agents' states into the folder; returns the SHA-256 of each agent's file.
            save_more: writes other files into the folder; returns the SHA-256 of each by its name.

        Raises:
            RecordError: the folder cannot be written to.
        """
        folder = self.directory / f"{progress.arm}-{progress.round:05d}"
        with writing(folder):
            _remove(folder)
            folder.mkdir(parents=True)
        digests = save_states(folder)
        write_ledger(progress.ledger, folder / LEDGER)
        manifest = Manifest(
            arm=progress.arm,
            round=progress.round,
            agents=dict(sorted(digests.items())),
            ledger=_digest(folder / LEDGER),
            paused=tuple(sorted(progress.paused)),
            late=progress.late,
            files=save_more(folder),
        )
        _write_manifest(manifest, folder)
        for old in checkpoints_of(self.directory.parent)[: -self.config.keep]:
            _remove(old.directory)


def checkpoints_of(run: Path) -> list[Checkpoint]:
    """Return the complete checkpoints of a run folder, the latest last."""
    found = []
    for path in run.glob(f"{CHECKPOINTS}/*/{MANIFEST}"):
        try:
            manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not ours, not JSON, or not text
            continue
        if manifest.arm in ARMS:
            found.append(Checkpoint(path.parent.absolute(), manifest))
    return sorted(found, key=lambda checkpoint: checkpoint.progress)


def forget(run: Path, rounds: Mapping[str, int]) -> None:
    """Remove the checkpoints after these rounds: the records that belong to them are removed next.

    Args:
        run: the run folder.
        rounds: the last round to keep of ``together`` and ``isolated``; -1 for none.

    Raises:
        RecordError: the folder cannot be written to.
    """
    for checkpoint in checkpoints_of(run):
        if checkpoint.manifest.round > rounds[checkpoint.manifest.arm]:
            with writing(checkpoint.directory):
                _remove(checkpoint.directory)


def copy(checkpoint: Checkpoint, run: Path, afresh: bool) -> Checkpoint:
    """Copy a checkpoint into another run folder.

    Args:
        checkpoint: to copy.
        run: the folder of the other run.
        afresh: whether the other run has another exchange, so that the state of this one is useless.

    Raises:
        RecordError: the folder cannot be written to.
    """
    folder = run.absolute() / CHECKPOINTS / checkpoint.directory.name
    manifest = checkpoint.manifest.model_copy(
        update={"afresh": afresh or checkpoint.manifest.afresh}
    )
    with writing(folder):
        shutil.copytree(checkpoint.directory, folder, ignore=shutil.ignore_patterns(MANIFEST))
    _write_manifest(manifest, folder)
    return Checkpoint(folder, manifest)


def _write_manifest(manifest: Manifest, folder: Path) -> None:
    with replacing(folder / MANIFEST) as path:
        path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _remove(folder: Path) -> None:
    """Remove a checkpoint, its manifest first: one that a crash leaves half removed no longer counts."""
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
