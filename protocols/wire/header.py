"""The header of a message: a fixed preamble, and one typed struct in msgpack.

    4 bytes   magic, ``AGOS``
    4 bytes   version of the protocol, little-endian like the two that follow
    4 bytes   length of the struct in bytes
    4 bytes   CRC-32 of the struct
    ...       `Header` in msgpack, fields in their order and without names
    ...       zeros, so that the data start on a multiple of 64 bytes

The preamble alone decides whether the rest is read at all: every version keeps it. Decoding is strict (no
type converts into another, no field is missing or unknown) and canonical (a header is refused unless it is
the one encoding of what it holds), and allocates in proportion to the header, whose length is bounded.
"""

from __future__ import annotations

import math
import reprlib
import zlib
from struct import Struct as Layout
from typing import Any, NoReturn, TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from protocols.errors import RejectedMessage, WireError
from protocols.messages import PROTOCOL_VERSION, Envelope

MAGIC = b"AGOS"
ALIGNMENT = 64
HEADER_LIMIT = 1 << 20
"""Bytes; a longer header is refused unread."""
MAX_RANK = 8

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_PREAMBLE = Layout("<4sIII")
_HINT = "send the bytes that protocols.wire.serialize.encode returned, whole and unchanged"

Plain: TypeAlias = bool | int | float | str | None
Value: TypeAlias = Plain | list[Plain] | dict[str, Plain]
"""A scalar field of a payload or of a codec. No deeper nesting: nothing recursive is decoded."""
Shape: TypeAlias = tuple[int, ...]
Described: TypeAlias = tuple[np.dtype[Any], Shape]
"""Dtype and shape of an array."""


class ArrayEntry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One row of the array table: name, dtype and shape.

    There are no offsets: arrays follow each other in the order of the table, without gaps.

    Raises:
        ValueError: the dtype is unknown, or a size is not positive.
    """

    name: str
    dtype: str
    shape: Shape

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"a dtype of {', '.join(DTYPES)}")
        check_shape(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the array in bytes."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class CodedFields(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Codec of a message, and the shape of every field that it coded.

    Raises:
        ValueError: a size is not positive.
    """

    codec: dict[str, Value]
    shapes: dict[str, Shape]

    def __post_init__(self) -> None:
        for shape in self.shapes.values():
            check_shape(shape)
            if not shape:
                raise ValueError("a coded array of at least one dimension")


class Header(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything in a message but the numbers of its arrays.

    Args:
        envelope: sender, round, hop, kind and gradient.
        scalars: the payload's fields that are no arrays, by name.
        coding: how arrays were coded; None where none was.
        arrays: the array table, in the order of the data: see `table_of`.
    """

    envelope: Envelope
    scalars: dict[str, Value]
    coding: CodedFields | None
    arrays: tuple[ArrayEntry, ...]


# Keys in order: one value has one encoding.
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(Header)


def check_shape(shape: Shape) -> None:
    """Check the sizes of an array.

    Raises:
        ValueError: one of them is not positive, or they are too many.
    """
    if len(shape) > MAX_RANK or (shape and min(shape) < 1):
        raise ValueError(f"at most {MAX_RANK} sizes of 1 or more")


def table_of(described: dict[str, Described]) -> tuple[ArrayEntry, ...]:
    """Return the array table of arrays of these dtypes and shapes.

    Wide dtypes come first, which keeps every array aligned to its own item size without gaps.

    Raises:
        WireError: an array is of a dtype or shape that cannot be sent.
    """
    entries = [_entry(name, dtype, shape) for name, (dtype, shape) in described.items()]
    if len(entries) > 1:
        entries.sort(key=_place)
    return tuple(entries)


def _entry(name: str, dtype: np.dtype[Any], shape: Shape) -> ArrayEntry:
    try:
        return ArrayEntry(name, _CODES[dtype], shape)
    except (KeyError, ValueError) as error:
        limits = f"{', '.join(DTYPES)}; at most {MAX_RANK} sizes of 1 or more"
        given = f"{dtype} {list(shape)}"
        raise malformed(f"array {bounded(name)} cannot be sent", limits, given) from error


def _place(entry: ArrayEntry) -> tuple[int, str]:
    return -DTYPES[entry.dtype].itemsize, entry.name


def canonical(value: Any) -> bytes:
    """Return the one msgpack encoding of a value.

    Raises:
        WireError: it holds something that a header cannot.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise malformed(
            "a field cannot be sent", "numbers of 64 bits, text, and flat lists or mappings", error
        ) from error


def encode_header(header: Header) -> bytes:
    """Return preamble, header and padding: everything before the data.

    Raises:
        WireError: it is too long, or holds something that it cannot.
    """
    body = canonical(header)
    if len(body) > HEADER_LIMIT:
        _fail("the header is too long", f"at most {HEADER_LIMIT} bytes", len(body))
    preamble = _PREAMBLE.pack(MAGIC, PROTOCOL_VERSION, len(body), zlib.crc32(body))
    return (preamble + body).ljust(_aligned(_PREAMBLE.size + len(body)), b"\0")


def decode_header(buffer: Any) -> tuple[Header, int]:
    """Return the header at the beginning of a buffer `[bytes]`, and where the data begin.

    Raises:
        WireError: the buffer does not begin with what `encode_header` could have written.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    if buffer.size < _PREAMBLE.size:
        _fail("the buffer is truncated", f"at least {_PREAMBLE.size} bytes", buffer.size)
    magic, version, length, crc = _PREAMBLE.unpack_from(buffer)
    if magic != MAGIC:
        _fail("not a message: it begins otherwise", MAGIC, magic)
    if version != PROTOCOL_VERSION:
        _reject_version(version)
    end = _PREAMBLE.size + length
    start = _aligned(end)
    if length > HEADER_LIMIT or start > buffer.size:
        limit = min(HEADER_LIMIT, buffer.size - _PREAMBLE.size)
        _fail("the header is too long, or truncated", f"at most {limit} bytes", length)
    head = buffer[_PREAMBLE.size : start].tobytes()
    body, padding = head[:length], head[length:]
    if zlib.crc32(body) != crc:
        _fail("the header is damaged", f"CRC-32 {crc:08x}", f"{zlib.crc32(body):08x}")
    if padding.strip(b"\0"):
        _fail("the padding of the header is not zero", "zeros", padding)
    return _decode_body(body), start


def _decode_body(body: bytes) -> Header:
    try:
        header = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise malformed(
            "the header is malformed", "the fields of Header", bounded(error)
        ) from error
    # Msgpack has several encodings of one number, and lets maps repeat a key.
    if canonical(header) != body:
        _fail("the header is not canonical", "the shortest encoding, keys in order", "another")
    if len(header.arrays) > 1:
        _check_order(header.arrays)
    return header


def _check_order(arrays: tuple[ArrayEntry, ...]) -> None:
    places = [_place(entry) for entry in arrays]
    if places != sorted(places) or len({entry.name for entry in arrays}) < len(arrays):
        _fail("the array table is out of order", "wide dtypes first, names once", bounded(places))


def _reject_version(version: int) -> NoReturn:
    raise RejectedMessage(
        f"rejected a message of protocol version {version}: this release reads {PROTOCOL_VERSION}",
        reason="version",
        expected=PROTOCOL_VERSION,
        actual=version,
        hint="run the same release of AgentOS on every host",
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def bounded(value: object) -> str:
    """Return a description of untrusted content, of bounded length."""
    return reprlib.repr(value)


def malformed(message: str, expected: object, actual: object) -> WireError:
    """Return the error for a message that `encode` cannot have written."""
    return WireError(message, expected=str(expected)[:200], actual=str(actual)[:200], hint=_HINT)


def _fail(message: str, expected: object, actual: object) -> NoReturn:
    raise malformed(message, expected, actual)
