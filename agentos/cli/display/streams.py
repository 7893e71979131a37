"""Standard streams that outlive their readers: what cannot be printed never ends a command.

A reader such as ``head`` may leave, a device may be full, a terminal may hang up, and an encoding may lack
the characters of a table. The work of a command, and the files that it writes, depend on none of this.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PLAIN = {"█": "#", "↑": "^", "↓": "v", "–": "-", "—": "-", "×": "x"}
"""Characters of our own tables, and what stands for them in encodings that lack them."""

_GONE = {errno.EPIPE, errno.EIO, errno.ECONNRESET}
"""Errors of a stream without a reader, who therefore misses nothing."""
FAILED = 1


class ForgivingFile(io.RawIOBase):
    """A file descriptor that drops what it cannot write, and keeps the first error.

    Args:
        descriptor: open for writing; never closed here.

    Attributes:
        error: the first refusal of the operating system; None if all was written.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.error: OSError | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: object) -> int:
        """Write bytes, or drop them; return their number."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        if self.error is None:
            try:
                return os.write(self._descriptor, view)
            except OSError as error:
                self.error = error
        return len(view)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """Make standard output and standard error forgiving; streams that a test has replaced stay.

    Raises:
        SystemExit: with code 1, if the command succeeded and a full or broken device took only a part of its
            output. A reader that left is no failure.
    """
    _occupy_standard_descriptors()
    codecs.register_error("plain", _plain)
    files = {name: file for name in ("stdout", "stderr") if (file := _forgiving(name))}
    try:
        yield
    except SystemExit as ended:
        if not ended.code and _incomplete(files.get("stdout")):
            raise SystemExit(FAILED) from None
        raise


def _occupy_standard_descriptors() -> None:
    """Open descriptors 0 to 2 where the caller closed them: a record opened as 1 would get the output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _forgiving(name: str) -> ForgivingFile | None:
    stream: TextIO | None = getattr(sys, name)
    if stream is None or stream is not getattr(sys, f"__{name}__"):
        return None
    stream.flush()
    file = ForgivingFile(stream.fileno())
    wrapper = io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors="plain",
        line_buffering=name == "stderr" or file.isatty(),
    )
    setattr(sys, name, wrapper)
    return file


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: an error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in missing), error.end


def _incomplete(file: ForgivingFile | None) -> bool:
    """Report what a device refused to take; return whether it did."""
    if file is None:
        return False
    sys.stdout.flush()
    if file.error is None or file.error.errno in _GONE:
        return False
    sys.stderr.write(
        f"error the output is incomplete: {file.error.strerror}\n"
        "  hint: print to a device with free space; files that the command wrote are whole\n"
    )
    return True
