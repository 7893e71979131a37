"""Which process runs in a folder, if any does, and how to end it."""

from __future__ import annotations

import os
import platform
import signal
from contextlib import suppress
from pathlib import Path

from agentos.records.identity.folder_lock import Holder, read_holder
from agentos.records.layout import LOCK
from protocols.errors import RecordError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_OPEN_FILES = "/proc/{}/fd"


def running_in(directory: Path) -> Holder | None:
    """Return the process that writes in a run folder, or None if none does.

    A process that was killed leaves its name in the folder, and another may have its number by now. So the
    lock itself counts: whether the process has it open, or, where that cannot be seen, whether it is taken.
    """
    holder = read_holder(directory)
    if holder is None:
        return None
    if holder.host == platform.node():
        if not _exists(holder.process):
            return None
        has_it = _has_open(holder.process, directory / LOCK)
        if has_it is not None:
            return holder if has_it else None
    return holder if _is_taken(directory / LOCK) else None


def stop(directory: Path) -> Holder:
    """Ask the process that runs in a folder to end, by SIGTERM; it completes its records first.

    Raises:
        RecordError: nothing runs there, it runs on another host, or it belongs to another user.
    """
    holder = running_in(directory)
    if holder is None:
        raise RecordError(
            f"nothing runs in {directory}",
            expected="a run in progress",
            hint="list the runs with 'agentos runs list'",
        )
    if holder.host != platform.node():
        raise RecordError(
            f"the run in {directory} is on another host",
            expected=f"a process on {platform.node()}",
            actual=f"process {holder.process} on {holder.host}",
            hint="stop it there",
        )
    # A file of a stranger may name any process: only one that has the lock open is signalled.
    if _has_open(holder.process, directory / LOCK) is None:
        raise RecordError(
            f"the run in {directory} cannot be stopped from here",
            expected="a process of this user",
            actual=f"process {holder.process}",
            hint="have its owner stop it",
        )
    try:
        os.kill(holder.process, signal.SIGTERM)
    except OSError as error:
        raise RecordError(
            f"process {holder.process} cannot be stopped", actual=error.strerror or str(error)
        ) from error
    return holder


def _exists(process: int) -> bool:
    if os.name != "posix":
        return True  # where signal 0 ends a process; the lock decides
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _has_open(process: int, path: Path) -> bool | None:
    """Return whether a process has a file open; None where that cannot be seen."""
    try:
        wanted = path.stat()
        files = os.listdir(_OPEN_FILES.format(process))
    except OSError:
        return None
    for name in files:
        with suppress(OSError):  # closed meanwhile
            found = os.stat(f"{_OPEN_FILES.format(process)}/{name}")
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def _is_taken(path: Path) -> bool:
    """Return whether a lock is taken, by taking a share of it for a moment."""
    if fcntl is None:
        return True
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
