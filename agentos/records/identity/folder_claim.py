"""Claiming of a run folder: who may take it, and what a run that never began leaves there."""

from __future__ import annotations

import logging
import re
import shutil
from contextlib import suppress
from pathlib import Path

from agentos.records.atomic_files import writing
from agentos.records.identity.folder_lock import FolderLock
from agentos.records.layout import (
    BASELINES,
    CHECKPOINTS,
    CONFIG,
    ENCODERS,
    ENVIRONMENT,
    EVALUATION,
    FINGERPRINT,
    LIVE,
    LOCK,
    LOCK_HOLDER,
    LOG,
    NETWORK,
    STARTING,
    TENSORBOARD,
    WRITTEN_LATER,
)
from protocols.errors import RecordError

logger = logging.getLogger(__name__)

OF_THE_LOCK = frozenset({LOCK, LOCK_HOLDER})
"""Files of the folder's lock."""
FIRST = frozenset({STARTING, CONFIG, ENVIRONMENT, NETWORK, EVALUATION, FINGERPRINT})
"""Files that describe a run."""
FOLDERS = frozenset({*BASELINES, TENSORBOARD, ENCODERS, CHECKPOINTS})
"""Folders that a run writes."""
DRAFT = re.compile(r"\..+\.\d+\.tmp")
"""Names of files that are being written."""


def take(directory: Path, lock: FolderLock, overwrite: bool = False) -> None:
    """Take a folder for a new run: create it, lock it, and empty it of a run that never began.

    The file `STARTING` marks it until `agentos.records.recorder.Recorder.start` has written everything, so
    that a folder whose run was killed before can be told from one that holds something of value.

    Args:
        directory: the run folder.
        lock: of it.
        overwrite: whether an earlier run in it may be replaced.

    Raises:
        RecordError: it holds something already, is in use, or cannot be written to.
    """
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if LOCK not in _names(directory):  # a refused folder is left as it was
            _require_free(directory, overwrite)
        lock.acquire()
        try:
            _require_free(directory, overwrite)
        except RecordError:
            lock.release()
            raise
        names = _names(directory)
        if STARTING in names:
            logger.warning(
                "%s holds a run that was stopped before its first round: it begins again", directory
            )
        (directory / STARTING).touch()
        for name in names - OF_THE_LOCK - {STARTING}:
            if name in FOLDERS:
                shutil.rmtree(directory / name)
            elif name in FIRST or name in WRITTEN_LATER or DRAFT.fullmatch(name):
                (directory / name).unlink()


def abandon(directory: Path) -> None:
    """Remove the folder of a run that never began, if nothing but its marks is in it."""
    with suppress(OSError):  # it is no worse for staying
        if _names(directory) <= OF_THE_LOCK | {STARTING, LOG, LIVE}:
            for name in (STARTING, LOG, LIVE, LOCK_HOLDER, LOCK):
                (directory / name).unlink(missing_ok=True)
            directory.rmdir()


def remove_drafts(directory: Path) -> None:
    """Remove the halves of files that killed processes left; the folder is locked."""
    with writing(directory):
        for name in _names(directory):
            if DRAFT.fullmatch(name):
                (directory / name).unlink(missing_ok=True)


def _require_free(directory: Path, overwrite: bool) -> None:
    found = _names(directory) - OF_THE_LOCK
    began = {name for name in found if name in FIRST | FOLDERS or name in WRITTEN_LATER}
    only_ours = all(name in began or DRAFT.fullmatch(name) for name in found)
    if not found or (STARTING in found and only_ours) or (overwrite and CONFIG in found):
        return
    raise RecordError(
        f"The run folder {directory} is not empty",
        expected="a new or an empty folder",
        actual=", ".join(sorted(found)[:5]),
        hint="choose another folder with --out, or remove this one",
    )


def _names(directory: Path) -> frozenset[str]:
    return frozenset(path.name for path in directory.iterdir())
