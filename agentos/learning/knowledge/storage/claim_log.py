"""The append-only log of a knowledge base: one JSON record a line, chained by checksums, synced to disk.

A record holds the checksum of itself and of all records before it, so that one that was changed, removed or
inserted is noticed. A crash while appending leaves a last line without its end: it was never confirmed, and
the next writer cuts it off. Everything else that does not fit is refused; reading runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from agentos.learning.knowledge.storage.changes import Change, from_json, to_json
from agentos.records.atomic_files import replacing, writing
from protocols.errors import RecordError

LOG = "knowledge.jsonl"
_HEADER = {"format": "agentos-knowledge", "version": 1}
MOST_BYTES = 1 << 32
"""Longest log that is read."""


class ClaimLog:
    """The log of one folder; `append` needs the folder's lock, reading does not.

    Args:
        directory: the folder of the knowledge base.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / LOG
        self.changes: list[Change] = []
        self._checksum = ""
        self._bytes = 0

    def create(self) -> None:
        """Begin an empty log.

        Raises:
            RecordError: there is one, or the folder cannot be written to.
        """
        self._checksum = _chain("", json.dumps(_HEADER, sort_keys=True))
        line = json.dumps({**_HEADER, "checksum": self._checksum}) + "\n"
        if self.path.exists():
            raise self._refused("a log", "no file")
        with replacing(self.path) as draft:
            draft.write_bytes(line.encode())
        self._bytes = len(line)

    def read(self) -> None:
        """Read all records; a torn last line is left out.

        Raises:
            RecordError: the file is missing, foreign or damaged.
        """
        if self.path.is_symlink() or not self.path.is_file():
            raise self._refused("no file", f"a file {LOG} that agentos wrote")
        if self.path.stat().st_size > MOST_BYTES:
            raise self._refused(f"{self.path.stat().st_size} bytes", f"at most {MOST_BYTES} bytes")
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        self._bytes = len(whole) + 1 if whole else 0
        lines = whole.split(b"\n") if whole else []
        self.changes, self._checksum = [], ""
        for number, line in enumerate(lines):
            self._take(number, line)
        if not lines:
            raise self._refused("an empty file", "a log with its header")

    def append(self, changes: Sequence[Change]) -> None:
        """Write records to the end, synced together; nothing is held unless all are written.

        Raises:
            RecordError: the disk is full, or the folder cannot be written to.
        """
        checksum, lines = self._checksum, []
        for change in changes:
            body = json.dumps(to_json(change), sort_keys=True, allow_nan=False)
            checksum = _chain(checksum, body)
            lines.append(f'{{"checksum": "{checksum}", "record": {body}}}\n')
        data = "".join(lines).encode()
        with writing(self.path), self.path.open("r+b") as file:
            file.truncate(self._bytes)  # what a torn append left
            file.seek(self._bytes)
            try:
                _write_synced(file.fileno(), data)
            except OSError:
                file.truncate(self._bytes)
                raise
        self._checksum, self._bytes = checksum, self._bytes + len(data)
        self.changes.extend(changes)

    def cut(self, records: int) -> None:
        """Drop the records after the first ones: those of a step that was never confirmed.

        Raises:
            RecordError: the folder cannot be written to.
        """
        with self.path.open("rb") as file:
            kept = b"".join(file.readline() for _ in range(records + 1))  # the header is a line
        with replacing(self.path) as draft:
            draft.write_bytes(kept)
        self.read()

    def _take(self, number: int, line: bytes) -> None:
        try:
            values = json.loads(line)
            body = {**values} if number == 0 else values["record"]
            claimed = body.pop("checksum") if number == 0 else values["checksum"]
            checksum = _chain(self._checksum, json.dumps(body, sort_keys=True, allow_nan=False))
            if checksum != claimed:
                raise self._refused(f"a wrong checksum in line {number + 1}", "untouched records")
            if number == 0 and body != _HEADER:
                raise self._refused(f"the header {str(body)[:80]}", f"the header {_HEADER}")
            if number > 0:
                self.changes.append(from_json(body))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            wanted = "records as agentos wrote them"
            raise self._refused(f"line {number + 1}: {str(error)[:200]}", wanted) from error
        self._checksum = checksum

    def _refused(self, actual: str, expected: str) -> RecordError:
        return RecordError(
            f"{self.path} is not the log of a knowledge base",
            expected=expected,
            actual=actual,
            hint="name the folder of a knowledge base, which in a life is DIR/knowledge, or restore the file",
        )


def _chain(before: str, body: str) -> str:
    return hashlib.blake2b(f"{before}\n{body}".encode(), digest_size=16).hexdigest()


def _write_synced(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)
