"""Checkpoints of a run: every agent's state after a round, and the ledger up to it.

A checkpoint is a folder ``checkpoints/ARM-ROUND/`` of the run. Its ``manifest.json`` holds the SHA-256 of
every other file and is written last, so a folder without one is not a checkpoint.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from agentos.records.atomic_files import inside, replacing, sync, writing
from agentos.records.checkpoint_config import KEPT_UNDER_WAY, CheckpointConfig
from agentos.records.identity.record_lengths import Extent, disagreement, extents
from agentos.records.layout import ARMS, CHECKPOINTS, LEDGER, MANIFEST, TOGETHER, agent_name
from agentos.records.ledger_file import read_ledger, write_ledger
from protocols.errors import RecordError
from protocols.ledger import Ledger
from protocols.spec import Spec

PlainName = Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=200)]
"""The name of a file in a checkpoint's own folder: no path."""

logger = logging.getLogger(__name__)


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
        records: the extent of each file that grows with the run.
    """

    format: int = Field(1, ge=1, le=1)
    arm: str
    round: int = Field(ge=0)
    agents: dict[int, str]
    ledger: str
    paused: tuple[int, ...] = ()
    afresh: bool = False
    late: tuple[tuple[int, int], ...] = ()
    files: dict[PlainName, str] = Field(default_factory=dict)
    records: dict[str, Extent] = Field(default_factory=dict)


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

    def disagreement(self) -> str | None:
        """Name a record of the run that is not what it was at the checkpoint; None if none is."""
        return disagreement(self.directory.parent.parent, self.manifest.records)

    def damage(self) -> str | None:
        """Name a file of the checkpoint that is missing or is not what was written; None if all are whole."""
        manifest = self.manifest
        states = {f"{agent_name(agent)}.safetensors": it for agent, it in manifest.agents.items()}
        for name, sha256 in {**states, LEDGER: manifest.ledger, **manifest.files}.items():
            try:
                whole = _digest(inside(self.directory, self.directory / name)) == sha256
            except OSError:
                whole = False
            if not whole:
                return name
        return None


@dataclass(frozen=True)
class Progress:
    """The progress of a run that a checkpoint records.

    Attributes:
        arm, round: the arm in progress, and its last finished round.
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
        config: how often to write them, and how many to keep.
        local_steps: optimizer steps of a round.
    """

    def __init__(self, run: Path, config: CheckpointConfig, local_steps: int) -> None:
        self.directory = run.absolute() / CHECKPOINTS
        self.config = config
        self.local_steps = local_steps

    def is_due(self, round: int, rounds: int) -> bool:
        """Return whether to write a checkpoint after this round; see `CheckpointConfig.is_due`."""
        return self.config.is_due(round, rounds, self.local_steps)

    def finish(self) -> None:
        """Remove the checkpoints of baselines, and those of the run itself unless they are to be kept.

        A run that has finished is only forked, and from itself.
        """
        if self.config.keep is None:
            _remove(self.directory)
        else:
            self._remove_old(TOGETHER)

    def write(
        self,
        progress: Progress,
        save_states: Callable[[Path], Mapping[int, str]],
        save_more: Callable[[Path], dict[str, str]] = lambda folder: {},
    ) -> None:
        """Write a checkpoint, and remove the oldest of its arm.

        Args:
            progress: the run's progress.
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
            records=extents(self.directory.parent, progress.arm),
        )
        for path in folder.iterdir():
            sync(path)
        _write_manifest(manifest, folder)
        self._remove_old(progress.arm)

    def _remove_old(self, arm: str) -> None:
        """Remove all but the latest checkpoints of the run and of the arm in progress."""
        if self.config.keep == "all":
            return
        kept = self.config.keep or KEPT_UNDER_WAY
        found = checkpoints_of(self.directory.parent)
        latest = {
            each.directory
            for name in {TOGETHER, arm}
            for each in [each for each in found if each.manifest.arm == name][-kept:]
        }
        for old in found:
            if old.directory not in latest:
                _remove(old.directory)


def checkpoints_of(run: Path, warn: bool = False) -> list[Checkpoint]:
    """Return the complete checkpoints of a run folder, the latest last.

    Args:
        run: the run folder.
        warn: whether to log those whose manifest cannot be read.

    Raises:
        RecordError: one of them is a link that leads out of the folder.
    """
    found = []
    for path in sorted(run.glob(f"{CHECKPOINTS}/*/{MANIFEST}")):
        inside(run, path)
        try:
            manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
            if manifest.arm not in ARMS:
                raise ValueError(f"there is no arm {manifest.arm[:60]!r}")
        except (OSError, ValueError) as error:  # not ours, not JSON, or not text
            if warn:
                why = " ".join(str(error).split())[:200]
                logger.warning("%s cannot be read; the checkpoint is left out: %s", path, why)
            continue
        found.append(Checkpoint(path.parent.absolute(), manifest))
    return sorted(found, key=lambda checkpoint: checkpoint.progress)


def forget(run: Path, rounds: Mapping[str, int]) -> None:
    """Remove the checkpoints after these rounds: the records that belong to them are removed next.

    Args:
        run: the run folder.
        rounds: per arm the last round to keep; -1 for none.

    Raises:
        RecordError: the folder cannot be written to.
    """
    for checkpoint in checkpoints_of(run):
        if checkpoint.manifest.round > rounds[checkpoint.manifest.arm]:
            with writing(checkpoint.directory):
                _remove(checkpoint.directory)


def copy(checkpoint: Checkpoint, run: Path, afresh: bool) -> Checkpoint:
    """Copy a checkpoint, the files that its manifest names, into another run folder.

    Args:
        checkpoint: checkpoint to copy.
        run: the folder of the other run.
        afresh: whether the other run has another exchange, so that the state of this exchange is useless.

    Raises:
        RecordError: the folder cannot be written to.
    """
    folder = run.absolute() / CHECKPOINTS / checkpoint.directory.name
    manifest = checkpoint.manifest.model_copy(
        update={
            "afresh": afresh or checkpoint.manifest.afresh,
            "records": extents(run, checkpoint.manifest.arm),
        }
    )
    names = (
        *(f"{agent_name(agent)}.safetensors" for agent in manifest.agents),
        LEDGER,
        *manifest.files,
    )
    with writing(folder):
        folder.mkdir(parents=True)
        for name in names:
            shutil.copy2(inside(checkpoint.directory, checkpoint.directory / name), folder / name)
    _write_manifest(manifest, folder)
    return Checkpoint(folder, manifest)


def _write_manifest(manifest: Manifest, folder: Path) -> None:
    with replacing(folder / MANIFEST) as path:
        path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _remove(folder: Path) -> None:
    """Remove a checkpoint, its manifest first: one that a crash leaves half removed no longer counts."""
    if folder.is_symlink():
        folder.unlink()
        return
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
