"""The header of a message and its arrays as one packet, and back; nothing is copied either way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.wire.buffers import Bytes, Packet
from protocols.wire.header import (
    DTYPES,
    ArrayEntry,
    Header,
    bounded,
    decode_header,
    encode_header,
    malformed,
)

Buffer: TypeAlias = bytes | bytearray | memoryview | Bytes
Pieces: TypeAlias = tuple[Bytes, ...]


def frame(header: Header, arrays: Mapping[str, NDArray[Any]]) -> Packet:
    """Return a packet of a header and the arrays of its table, without copying them.

    Only an array that is not C-contiguous is copied.

    Raises:
        WireError: the header is too long, or holds something that it cannot.
    """
    flat = (np.ascontiguousarray(arrays[entry.name]).reshape(-1) for entry in header.arrays)
    pieces = (
        np.frombuffer(encode_header(header), np.uint8),
        *(values.view(np.uint8) for values in flat),
    )
    for piece in pieces:
        piece.setflags(write=False)
    return Packet(pieces)


def frame_bytes(header: Header) -> int:
    """Return the size of the packet that `frame` makes of a header and its arrays."""
    return len(encode_header(header)) + sum(entry.nbytes for entry in header.arrays)


def unframe(message: Buffer | Packet) -> tuple[Header, Pieces]:
    """Return the header of a message, and its data: in one piece or several, as received.

    Raises:
        WireError: the header is not one that `frame` could have written.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    pieces = message.pieces if isinstance(message, Packet) else (message,)
    first, *others = [_flat(piece) for piece in pieces] or [np.empty(0, np.uint8)]
    header, start = decode_header(first)
    return header, (first[start:], *others)


def tile(entries: Iterable[ArrayEntry], data: Pieces) -> dict[str, NDArray[Any]]:
    """Return read-only views of the data, one per row of the array table.

    Raises:
        WireError: the arrays do not tile the data exactly, or one of them is divided between pieces.
    """
    views: dict[str, NDArray[Any]] = {}
    rest, *pieces = data
    for entry in entries:
        size = entry.nbytes
        if not rest.size and pieces:
            rest = pieces.pop(0)
        if rest.size < size:
            _fail(f"the data end within array {bounded(entry.name)}", f"{size} bytes", rest.size)
        values = rest[:size].view(DTYPES[entry.dtype])
        views[entry.name] = values if len(entry.shape) == 1 else values.reshape(entry.shape)
        rest = rest[size:]
    if rest.size or pieces:
        found = [rest.size, *(piece.size for piece in pieces)]
        _fail("the arrays do not cover the data", "no bytes after them", f"{found[:6]} more")
    return views


def _flat(buffer: Buffer) -> Bytes:
    try:
        flat = np.frombuffer(buffer, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise malformed("not a buffer", "contiguous bytes", type(buffer).__name__) from error
    flat.setflags(write=False)
    return flat


def _fail(message: str, expected: object, actual: object) -> NoReturn:
    raise malformed(message, expected, actual)
