"""Lines of text files, decompressed and decoded, with an error in place of each damaged line."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator, Field

from agentos.data.sources.record import BadRecord
from protocols.errors import DataError

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors that reading a damaged or truncated compressed file raises."""


def _line_by_line(encoding: str) -> str:
    try:
        ends_lines = "\n".encode(encoding) == b"\n"
        name = codecs.lookup(encoding).name
    except (LookupError, UnicodeError):
        raise ValueError(
            f"{encoding!r} is not a text encoding; try utf-8, cp1252 or gb18030"
        ) from None
    if not ends_lines:
        raise ValueError(f"{encoding!r} cannot be read line by line; convert the files to utf-8")
    return name


Encoding = Annotated[
    str,
    AfterValidator(_line_by_line),
    Field(description="Encoding of the files, such as utf-8, cp1252 or gb18030."),
]


def open_bytes(path: Path) -> gzip.GzipFile | BinaryIO:
    """Open a file for reading, decompressing it if its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str | DataError]]:
    r"""Stream the lines of a file, numbered from 1, without their line ends.

    Only ``\n`` and ``\r\n`` end a line. An error takes the place of a line that cannot be decoded, and
    of the point at which a compressed file is truncated.
    """
    number = 0
    with open_bytes(path) as stream:
        try:
            for number, raw in enumerate(stream, start=1):
                try:
                    text = decode(raw, encoding, first=number == 1)
                except UnicodeDecodeError as error:
                    yield number, undecodable(f"{path}, line {number}", encoding, error)
                else:
                    yield number, text.rstrip("\r\n")
        except DAMAGED as error:
            yield number + 1, truncated(f"{path}, line {number + 1}", error)


def decode(raw: bytes, encoding: str, *, first: bool) -> str:
    """Decode bytes; the `first` of a UTF-8 file may begin with a byte order mark.

    Raises:
        UnicodeDecodeError: the bytes are not text in this encoding.
    """
    return raw.decode("utf-8-sig" if first and encoding == "utf-8" else encoding)


def undecodable(where: str, encoding: str, error: UnicodeDecodeError) -> BadRecord:
    """Return the error for bytes that an encoding cannot decode."""
    return BadRecord(
        f"{where}: not {encoding.upper()} text",
        reason="encoding",
        expected=encoding,
        actual=f"byte 0x{error.object[error.start]:02x}",
        hint="name the encoding of the file in data.source.encoding, such as cp1252, convert it to "
        "UTF-8, or set data.on_bad_record: skip",
    )


def truncated(where: str, error: Exception) -> BadRecord:
    """Return the error for a compressed file that is damaged or cut short."""
    return BadRecord(
        f"{where}: the compressed file is damaged or cut short",
        reason="compression",
        actual=str(error),
        hint="copy the file again, or set data.on_bad_record: skip to drop the rest of it",
    )
