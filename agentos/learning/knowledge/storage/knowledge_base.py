"""A knowledge base: a log of claims, the state folded from it, and a store to search them, for one writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from agentos.learning.knowledge.storage.changes import (
    Added,
    Change,
    Joined,
    Marked,
    Moved,
    Reduced,
    RolledBack,
    Weighed,
)
from agentos.learning.knowledge.storage.claim_log import LOG, ClaimLog
from agentos.learning.knowledge.storage.claim_store import ClaimStore, MemoryStore, Neighbours
from agentos.learning.knowledge.storage.explanation import Why, explained
from agentos.learning.knowledge.storage.knowledge_state import KnowledgeState, advance, fold
from agentos.learning.knowledge.storage.lance_store import LanceStore
from agentos.records.atomic_files import require_inside, writing
from agentos.records.identity.folder_lock import FolderLock
from agents.knowledge.claims import Claim, Status
from protocols.errors import ConfigurationError, RecordError

TABLES = "tables"
"""Folder of the database, next to the log."""
Opener = Callable[[Path], ClaimStore]


class KnowledgeBase:
    """A knowledge base in a folder. Open one with `create`, `open` or `read`; close what writes.

    Example:
        >>> import tempfile
        >>> with KnowledgeBase.create(Path(tempfile.mkdtemp()) / "kb") as base:
        ...     len(base.state.claims)
        0
    """

    def __init__(self, directory: Path, log: ClaimLog, store: ClaimStore, lock: FolderLock | None):
        self.directory, self._log, self.store, self._lock = directory, log, store, lock
        self.state = KnowledgeState()

    @classmethod
    def create(cls, directory: Path, store: Opener | None = None) -> Self:
        """Begin an empty knowledge base in a new or empty folder.

        Raises:
            RecordError: the folder holds something, or cannot be written to.
        """
        if directory.exists() and any(path.name[:1] != "." for path in directory.iterdir()):
            raise RecordError(
                f"{directory} is not empty",
                expected="a new folder for the knowledge base",
                actual=str(min(path.name for path in directory.iterdir())),
                hint="open the knowledge base that is there, or name another folder",
            )
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(directory)
        lock.acquire()
        try:
            ClaimLog(directory).create()
        finally:
            lock.release()
        return cls.open(directory, store)

    @classmethod
    def open(cls, directory: Path, store: Opener | None = None) -> Self:
        """Open a knowledge base for writing, by LanceDB unless another store is given.

        Raises:
            RecordError: another process writes there, or a file is missing, foreign or damaged.
        """
        log = _read_log(directory)  # before the lock, which leaves a file in the folder
        lock = FolderLock(directory)
        lock.acquire()
        try:
            log.read()
            opened = (store or LanceStore)(directory / TABLES)
            base = cls(directory, log, opened, lock)
            base._refold()
        except BaseException:
            lock.release()
            raise
        return base

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Open a knowledge base without the right to write: the log alone, searched in memory.

        Raises:
            RecordError: a file is missing, foreign or damaged.
        """
        base = cls(directory, _read_log(directory), MemoryStore(), None)
        base._refold()
        return base

    @property
    def records(self) -> int:
        """Return the length of the log, which names this point for `rollback`."""
        return len(self._log.changes)

    def add(self, claims: Iterable[Claim]) -> list[str]:
        """Add claims that are not there, and return the digests of all."""
        given = {claim.digest: claim for claim in claims}
        new = [c for digest, c in given.items() if digest not in self.state.claims]
        self._write([Added(claim=claim) for claim in new])
        return list(given)

    def move(
        self, digests: Iterable[str], status: Status, reason: str, by: Iterable[str] = ()
    ) -> None:
        """Give claims another status; those that have it are passed over.

        Raises:
            ConfigurationError: there is no such claim.
        """
        asked = tuple(sorted(set(by)))
        moved = [d for d in digests if self.claim(d).status != status]
        self._write([Moved(digest=d, status=status, reason=reason, by=asked) for d in moved])

    def write(self, changes: Sequence[Added | Joined | Marked | Moved | Reduced | Weighed]) -> None:
        """Append what an episode, a fusion or a correction decided, as one."""
        self._write(changes)

    def mark(self, name: str) -> int:
        """Name this point of the log, tidy the store, and return the point for `rollback`."""
        self._write([Marked(name=name)])
        self.store.compact()
        return self.records

    def rollback(self, records: int) -> None:
        """Return to the state after the first records of the log; the log itself only grows.

        Raises:
            ConfigurationError: the log is shorter.
        """
        if not 0 <= records <= self.records:
            raise ConfigurationError(
                f"the knowledge base in {self.directory} cannot go to record {records}",
                expected=f"0 to {self.records}",
                actual=str(records),
                hint="take a number that mark or records returned",
            )
        self._writable()
        self._log.append([RolledBack(records=records)])
        self._refold()

    def cut_from(self, name: str) -> int:
        """Drop what follows a mark, and the mark: a step that was interrupted before it was confirmed.

        Returns:
            The number of records that are dropped; 0 where there is no such mark.
        """
        self._writable()
        named = (
            i for i, c in enumerate(self._log.changes) if isinstance(c, Marked) and c.name == name
        )
        first, length = next(named, self.records), self.records
        if first < length:
            self._log.cut(first)
            self._refold()
        return length - first

    def require(self, records: int) -> None:
        """Refuse a log that is shorter than it was known to be.

        Raises:
            RecordError: it is.
        """
        if self.records < records:
            raise RecordError(
                f"{self.directory / LOG} is behind the life that it belongs to",
                expected=f"{records} records or more",
                actual=str(self.records),
                hint="restore the file from a copy",
            )

    def at(self, records: int) -> KnowledgeState:
        """Return the state after the first records of the log.

        Raises:
            ConfigurationError: the log has fewer, or their number is below 0.
        """
        if not 0 <= records <= self.records:
            raise ConfigurationError(
                f"{self.directory} has no state after {records} records",
                expected=f"a number from 0 to {self.records}, the records of its log",
                actual=records,
                hint="agentos knowledge check DIR prints how many records there are",
            )
        return fold(self._log.changes[:records])

    def claim(self, digest: str) -> Claim:
        """Return the claim whose digest begins with these digits.

        Raises:
            ConfigurationError: there is none, or several.
        """
        if digest in self.state.claims:
            return self.state.claims[digest]
        found = [name for name in self.state.claims if digest and name.startswith(digest)]
        if len(found) != 1:
            raise ConfigurationError(
                f"{len(found)} claims in {self.directory} begin with {digest!r}",
                expected="the digest of one claim, or its first digits",
                actual=digest,
                hint="list them with: agentos knowledge show",
            )
        return self.state.claims[found[0]]

    def why(self, digest: str) -> Why:
        """Return what stands behind a claim: its parts, its rivals, and every decision."""
        return explained(self.state, self.claim(digest))

    def nearest(self, frame: str, queries: NDArray[np.float32], k: int) -> Neighbours:
        """Return the nearest accepted claims of each query."""
        return self.store.nearest(frame, queries, k)

    def close(self) -> None:
        """Release the store and the lock."""
        self.store.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write(self, changes: Sequence[Change]) -> None:
        self._writable()
        if not changes:
            return
        trial = self.state.copy()
        advance(trial, changes)  # a change that does not fit must not reach the log
        self._log.append(changes)
        self.state = trial
        self._update(changes)

    def _update(self, changes: Sequence[Change]) -> None:
        touched: dict[str, None] = {}
        for change in changes:
            if isinstance(change, Added):
                touched[change.claim.digest] = None
            elif isinstance(change, Joined):
                touched.update(dict.fromkeys((*change.parts, change.whole.digest)))
            elif isinstance(change, Moved):
                touched[change.digest] = None
        gone = [digest for digest in touched if digest in self.state.wholes]
        self.store.drop(gone)
        self.store.put(self.state.claims[d] for d in touched if d not in self.state.wholes)

    def _refold(self) -> None:
        try:
            self.state = fold(self._log.changes)
        except ValueError as error:
            raise RecordError(
                f"the records in {self.directory / LOG} do not fit together",
                expected="changes as agentos wrote them",
                actual=str(error),
                hint="restore the file from a copy",
            ) from error
        self.store.sync(
            claim for digest, claim in self.state.claims.items() if digest not in self.state.wholes
        )

    def _writable(self) -> None:
        if self._lock is None:
            raise ConfigurationError(
                f"the knowledge base in {self.directory} is open for reading",
                expected="one opened with KnowledgeBase.open",
                actual="KnowledgeBase.read, or one that is closed",
                hint="open it for writing",
            )


def _read_log(directory: Path) -> ClaimLog:
    if directory.is_dir():
        require_inside(directory)
    log = ClaimLog(directory)
    log.read()
    return log
