"""The end of a file that another process writes: its new lines, whenever it is asked for them."""

from __future__ import annotations

import os
from pathlib import Path

from agentos.records.atomic_files import inside

CHUNK_BYTES = 1_000_000
"""Most bytes that one call reads, and the longest line; the beginning of a longer one is left out."""


class Tail:
    """Returns the lines that a file has got since the last call.

    A line that is not whole yet is left for the next call. A file that was replaced or cut, as by a run that
    goes back to a checkpoint, is read from its beginning again.

    Args:
        path: the file; it may not exist yet.
        last_bytes: how much of the end of a longer file the first call begins with; None for all of it.

    Attributes:
        beginnings: how often the file was read from its beginning: a reader that sums up begins again too.
    """

    def __init__(self, path: Path, last_bytes: int | None = None) -> None:
        self.path = path
        self.beginnings = 0
        self._last_bytes = last_bytes
        self._file: tuple[int, int] | None = None
        self._offset = 0

    def lines(self) -> list[str]:
        """Return new whole lines, without their ends; at most `CHUNK_BYTES` of them.

        Raises:
            RecordError: the file is a link out of its folder.
        """
        inside(self.path.parent, self.path)
        try:
            if not self.path.is_file():  # a pipe would never end
                return []
            with self.path.open("rb") as file:
                cut = self._begin(os.fstat(file.fileno()))
                file.seek(self._offset)
                data = file.read(CHUNK_BYTES)
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == CHUNK_BYTES else 0)
        self._offset += whole
        return data[:whole].decode("utf-8", errors="replace").split("\n")[cut:-1]

    def _begin(self, found: os.stat_result) -> int:
        """Begin again with another or a shorter file; return how many first lines are cut: 0 or 1."""
        file = found.st_dev, found.st_ino
        if file == self._file and found.st_size >= self._offset:
            return 0
        skipped = max(0, found.st_size - self._last_bytes) if self._last_bytes is not None else 0
        self._file, self._offset = file, skipped
        self.beginnings += 1
        return int(skipped > 0)
