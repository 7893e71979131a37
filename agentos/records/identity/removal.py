"""Removal of run folders: of what a run wrote, and of nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from agentos.records.atomic_files import writing
from agentos.records.identity.folder_claim import DRAFT, FIRST, FOLDERS, OF_THE_LOCK
from agentos.records.identity.folder_lock import alone_in
from agentos.records.layout import CHECKPOINTS, CONFIG, METRICS, NETWORK, STARTING, WRITTEN_LATER
from protocols.errors import RecordError


def is_run_folder(directory: Path) -> bool:
    """Return whether a folder holds a run, begun or only started; a link to one does not count."""
    if directory.is_symlink():
        return False
    begun = all((directory / name).is_file() for name in (CONFIG, NETWORK, METRICS))
    return begun or (directory / STARTING).is_file()


def remove_run(directory: Path) -> tuple[str, ...]:
    """Remove a run; return the names of what it did not write, which stays.

    Raises:
        RecordError: the folder is not a run folder, is in use, or cannot be written to.
    """
    _require_run(directory)
    with alone_in(directory), writing(directory):
        (
            directory / STARTING
        ).touch()  # whose removal was cut short is still a run, and can be removed
        names = {path.name for path in directory.iterdir()}
        ours = {name for name in names if name in FIRST or name in FOLDERS or DRAFT.fullmatch(name)}
        for name in sorted((ours | (names & set(WRITTEN_LATER))) - {STARTING}):
            _remove(directory / name)
        for name in (STARTING, *OF_THE_LOCK):
            (directory / name).unlink(missing_ok=True)
        kept = tuple(sorted(path.name for path in directory.iterdir()))
        if not kept:
            directory.rmdir()
    return kept


def remove_checkpoints(directory: Path) -> None:
    """Remove the checkpoints of a run, which can then be neither resumed nor forked.

    Raises:
        RecordError: the folder is not a run folder, is in use, or cannot be written to.
    """
    _require_run(directory)
    with alone_in(directory), writing(directory):
        _remove(directory / CHECKPOINTS)


def _require_run(directory: Path) -> None:
    if not is_run_folder(directory):
        raise RecordError(
            f"{directory} is not a run folder, and is left as it is",
            expected=f"a folder, not a link, that holds {CONFIG}, {NETWORK} and {METRICS}",
            actual="a link" if directory.is_symlink() else "another folder, or none",
            hint="list the runs with 'agentos runs list'",
        )


def _remove(path: Path) -> None:
    """Remove a file, a folder, or a link, which is never followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
