"""Lines of text files, decompressed and decoded, with an error in place of each damaged line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from agentos.data.sources.opening import DAMAGED, open_bytes
from agentos.data.sources.record import MAX_RECORD_BYTES, BadRecord, too_large
from protocols.errors import DataError


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


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str | DataError]]:
    r"""Stream the lines of a file, numbered from 1, without their line ends.

    Only ``\n`` and ``\r\n`` end a line. An error takes the place of a line that cannot be decoded or has
    more than `MAX_RECORD_BYTES`, and of the point at which a compressed file is truncated.

    Raises:
        DataError: the file cannot be opened; see `agentos.data.sources.opening.open_bytes`.
    """
    number = 0
    with open_bytes(path) as stream:
        try:
            while raw := stream.readline(MAX_RECORD_BYTES + 1):
                number += 1
                where = f"{path}, line {number}"
                if len(raw) > MAX_RECORD_BYTES:
                    yield number, too_large(where)
                    while raw and not raw.endswith(b"\n"):
                        raw = stream.readline(MAX_RECORD_BYTES)
                    continue
                try:
                    text = decode(raw, encoding, first=number == 1)
                except UnicodeDecodeError as error:
                    yield number, undecodable(where, encoding, error)
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
