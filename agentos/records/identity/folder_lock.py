"""The lock of a run folder: one writer at a time."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from agentos.records.atomic_files import writing
from agentos.records.layout import LOCK, LOCK_HOLDER
from protocols.errors import RecordError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, and its host."""

    process: int
    host: str


class FolderLock:
    """The exclusive right to write into a run folder; the system frees it when its holder dies.

    One thread may hold it several times; it is free again after as many releases.

    Args:
        directory: the run folder; it exists when the lock is acquired.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock, unless it is taken already.

        Raises:
            RecordError: another process or thread holds it, or the folder cannot be written to.
        """
        if self._lock is not None:
            return
        # Singletons, so that one thread may take a lock that it already holds.
        lock = FileLock(self.directory.resolve() / LOCK, is_singleton=True)
        with writing(self.directory):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise self._in_use() from None
            except NotImplementedError:
                logger.warning(
                    "the file system of %s has no locks: let one process write there",
                    self.directory,
                )
                return
        self._lock = lock
        if lock.lock_counter == 1:
            holder = json.dumps({"process": os.getpid(), "host": platform.node()})
            with writing(self.directory):  # no draft: one that a crash leaves would be in the way
                (self.directory / LOCK_HOLDER).write_text(holder + "\n", encoding="utf-8")

    def release(self) -> None:
        """Free the lock, where it is taken."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        if lock.lock_counter == 1:
            with suppress(OSError):  # the folder may be gone
                (self.directory / LOCK_HOLDER).unlink(missing_ok=True)
        lock.release()

    def _in_use(self) -> RecordError:
        return RecordError(
            f"The run folder {self.directory} is in use",
            expected="a folder that nothing else writes to",
            actual=f"{self._holder()} writes there",
            hint="wait until it ends, or choose another folder",
        )

    def _holder(self) -> str:
        holder = read_holder(self.directory)
        if holder is None:
            return "another process"
        return f"process {holder.process} on host {holder.host}"


def read_holder(directory: Path) -> Holder | None:
    """Return the process that the folder names as its lock's holder; it may have been killed since."""
    try:
        found = json.loads((directory / LOCK_HOLDER).read_text(encoding="utf-8"))
        return Holder(int(found["process"]), str(found["host"])[:255])
    except (OSError, ValueError, TypeError, KeyError):
        return None


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Hold the lock of a run folder; see `FolderLock`.

    Raises:
        RecordError: another process or thread holds it, or the folder cannot be written to.
    """
    lock = FolderLock(directory)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
