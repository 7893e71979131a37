"""Files opened for reading: regular ones alone, decompressed by the ending of their name, within bounds.

A file from a stranger may be a pipe without end, or 2 kB that decompress to terabytes. The bounds are:

- a record (a line, a paragraph, a document, a field, a value) has at most
  `agentos.data.sources.record.MAX_RECORD_BYTES`;
- a compressed file expands to at most `MAX_EXPANSION` times its size, or to `FREE_BYTES` if that is more.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from protocols.errors import DataError

MAX_EXPANSION = 200
FREE_BYTES = 1 << 26
_BUFFER = 1 << 18

DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""Errors that reading a damaged or truncated file raises."""


def _zstd(file: BinaryIO) -> Any:
    import pyarrow  # not at the top: reading a configuration imports this module

    return pyarrow.CompressedInputStream(file, "zstd")


_READERS: dict[str, tuple[str, bytes, Callable[[BinaryIO], Any]]] = {
    ".gz": ("gzip", b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    ".bz2": ("bzip2", b"BZh", bz2.BZ2File),
    ".xz": ("xz", b"\xfd7zXZ\0", lzma.LZMAFile),
    ".zst": ("zstd", b"\x28\xb5\x2f\xfd", _zstd),
}
COMPRESSIONS = tuple(_READERS)
"""Endings of compressed files, in lower case; names are compared without regard to case."""

_UNREAD = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "an archive"),
    **dict.fromkeys(
        (".lz4", ".br", ".lzma", ".lzo", ".sz", ".z"), "compressed in a way unknown here"
    ),
}


def ending(path: str | Path) -> str:
    """Return the ending of a name in lower case, without that of a compression.

    Example:
        >>> ending("news.JSONL.gz"), ending("news.tsv"), ending("news")
        ('.jsonl', '.tsv', '')
    """
    name = Path(str(path).lower())
    compressed = name.suffix in _READERS or name.suffix in _UNREAD
    return Path(name.stem).suffix or name.suffix if compressed else name.suffix


def open_bytes(path: Path) -> Any:
    """Open a regular file, decompressing one whose name ends in `COMPRESSIONS`.

    Raises:
        DataError: it cannot be opened, is no regular file, or is compressed in another way than its name
            says; or, while it is read, expands beyond the bound.
    """
    file = open_regular(path)
    try:
        size, suffix = os.fstat(file.fileno()).st_size, path.suffix.lower()
        if suffix in _READERS:
            limit = max(FREE_BYTES, MAX_EXPANSION * size)
            return io.BufferedReader(
                _Bounded(_READERS[suffix][2](file), file, path, limit), _BUFFER
            )
        _refuse_compressed(path, file.read(4096), suffix)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def open_regular(path: Path) -> BinaryIO:
    """Open a file on a disk, as it is.

    Raises:
        DataError: it cannot be opened, or is a folder, a pipe or a device.
    """
    try:
        # A pipe without a writer would block.
        descriptor = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except OSError as error:
        raise DataError(
            f"{path} cannot be read", actual=str(error), hint="check the path"
        ) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb", _BUFFER)
    os.close(descriptor)
    raise DataError(
        f"{path} is not a regular file",
        expected="a file on a disk",
        actual="a folder, a pipe or a device",
        hint="write the content to a file first",
    )


def _refuse_compressed(path: Path, head: bytes, suffix: str) -> None:
    for correct, (name, magic, _) in _READERS.items():
        # "BZh" could begin a text; the number that follows in a compressed file could not.
        if head.startswith(magic) and (name != "bzip2" or head[4:10] == b"1AY&SY"):
            raise DataError(
                f"{path} is compressed with {name}, and its name does not say so",
                expected=f"a name that ends in {correct}",
                actual=path.name,
                hint="rename the file, or decompress it",
            )
    what = _UNREAD.get(suffix) or ("an archive" if head.startswith(b"PK\x03\x04") else None)
    if what is not None:
        raise DataError(
            f"{path} is {what}, which is not read",
            expected=f"a plain file, or one that ends in {', '.join(COMPRESSIONS)}",
            actual=path.name,
            hint="unpack it first",
        )


class _Bounded(io.RawIOBase):
    """Decompressed bytes, up to a limit."""

    def __init__(self, stream: Any, file: BinaryIO, path: Path, limit: int) -> None:
        super().__init__()
        self._stream = stream
        self._file = file
        self._path = path
        self._limit = limit
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._count += len(data)
        if self._count > self._limit:
            raise expands(self._path, self._limit)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()


def expands(path: Path, limit: int) -> DataError:
    """Return the error for a file whose content is out of proportion to its size."""
    return DataError(
        f"{path} expands beyond the bound on compressed files",
        expected=f"at most {limit:,} bytes: {MAX_EXPANSION} times the size of the file, or "
        f"{FREE_BYTES:,}",
        actual="more",
        hint="decompress the file yourself if it is what you expect",
    )
