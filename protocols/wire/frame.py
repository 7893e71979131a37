"""One buffer of named arrays and string metadata: the safetensors file layout, no pickle.

    8 bytes   header length, little-endian
    header    JSON, padded with spaces so that the data start on a multiple of 64 bytes
    data      the arrays, wide dtypes first, without gaps

`pack` is canonical: the same content gives the same bytes. `unpack` trusts nothing that it reads,
and allocates no more than the header, whose length is bounded before it is touched. A frame that is not
one buffer but a `Packet`, whose arrays lie anywhere in memory, is held to the very same layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.wire.buffers import Bytes, Packet
from protocols.wire.json_text import bounded, from_json, malformed, to_json

Buffer: TypeAlias = bytes | bytearray | memoryview | Bytes
Pieces: TypeAlias = tuple[Bytes, ...]
Described: TypeAlias = tuple[np.dtype[Any], tuple[int, ...]]
"""Dtype and shape of an array."""

HEADER_LIMIT = 1 << 20
"""Bytes; a header beyond it is refused unread."""
ALIGNMENT = 64
MAX_RANK = 8
METADATA = "__metadata__"

_LENGTH_BYTES = 8
_DTYPES: dict[str, np.dtype[Any]] = {
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
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class Span(NamedTuple):
    """One array of a frame, and the bytes of the data that it takes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Frame:
    """A buffer whose header was read; its arrays are not checked before they are asked for."""

    metadata: Mapping[str, str]
    entries: Mapping[str, Any]
    data: Pieces
    """What follows the header: in one piece, or in several between which no array is divided."""

    def spans(self) -> list[Span]:
        """Return what the header says of the arrays, in the order of the data.

        Raises:
            WireError: a description is malformed.
        """
        spans = [_describe(name, entry) for name, entry in self.entries.items()]
        return sorted(spans, key=lambda span: (span.begin, span.end))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return read-only views of the buffer, one per array.

        Raises:
            WireError: a description is malformed, or the arrays do not tile the data exactly.
        """
        return tile(self.spans(), self.data)


def tile(spans: Iterable[Span], data: Pieces) -> dict[str, NDArray[Any]]:
    """Return read-only views of a frame's data, one per array.

    Raises:
        WireError: the arrays do not tile the data exactly.
    """
    views: dict[str, NDArray[Any]] = {}
    position = 0
    rest, *pieces = data
    for name, dtype, shape, begin, end in spans:
        if begin != position:
            _fail(f"array {bounded(name)} overlaps another or leaves a gap", position, begin)
        if not rest.size and pieces:
            rest = pieces.pop(0)
        if rest.size < end - begin:
            _fail(f"the data end within array {bounded(name)}", end - begin, rest.size)
        views[name] = rest[: end - begin].view(dtype).reshape(shape)
        rest, position = rest[end - begin :], end
    if rest.size or pieces:
        found = [rest.size, *(piece.size for piece in pieces)]
        _fail("the arrays do not cover the data", f"{position} bytes", f"{found[:6]} more")
    return views


def pack(metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> Bytes:
    """Return one read-only buffer; each array is copied once.

    Raises:
        WireError: a dtype has no place in the layout, or the header is too long.

    Example:
        >>> frame = unpack(pack({"about": "anchors"}, {"values": np.arange(3, dtype=np.int32)}))
        >>> frame.metadata["about"], frame.arrays()["values"].tolist()
        ('anchors', [0, 1, 2])
    """
    return lay_out(metadata, arrays).joined()


def lay_out(metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> Packet:
    """Return what `pack` would write, each array where it lies (a copy where it is not C-contiguous).

    Raises:
        WireError: see `pack`.
    """
    described = {name: (values.dtype, values.shape) for name, values in arrays.items()}
    prefix, spans = _layout(metadata, described)
    flat = (np.ascontiguousarray(arrays[name]).reshape(-1) for name in spans)
    pieces = (np.frombuffer(prefix, np.uint8), *(values.view(np.uint8) for values in flat))
    for piece in pieces:
        piece.flags.writeable = False
    return Packet(pieces)


def packed_bytes(metadata: Mapping[str, str], described: Mapping[str, Described]) -> int:
    """Return the size of the buffer that `pack` would make of arrays of these dtypes and shapes.

    Example:
        >>> values = np.arange(3, dtype=np.int32)
        >>> described = {"values": (values.dtype, values.shape)}
        >>> packed_bytes({}, described) == pack({}, {"values": values}).nbytes
        True
    """
    prefix, spans = _layout(metadata, described)
    return len(prefix) + max((end for _, end in spans.values()), default=0)


def _layout(
    metadata: Mapping[str, str], described: Mapping[str, Described]
) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Return the header, and where each array lies in the data, in that order."""
    header: dict[str, Any] = {METADATA: dict(metadata)}
    spans: dict[str, tuple[int, int]] = {}
    position = 0
    for name in order_of(described):
        dtype, shape = described[name]
        if dtype not in _CODES:
            _fail(f"array {bounded(name)} cannot be sent", ", ".join(_DTYPES), dtype)
        end = position + math.prod(shape) * dtype.itemsize
        offsets = [position, end]
        header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": offsets}
        spans[name] = (position, end)
        position = end
    return prefix_of(to_json(header).encode()), spans


def order_of(described: Mapping[str, Described]) -> list[str]:
    """Return the names of arrays in the order of the data.

    Wide dtypes first keeps every array aligned to its own item size without gaps.
    """
    return sorted(described, key=lambda name: (-described[name][0].itemsize, name))


def unpack(buffer: Buffer | Packet) -> Frame:
    """Read the header of a buffer, and leave the arrays where they are.

    Raises:
        WireError: the buffer is truncated, or its header is not what `pack` could have written.
    """
    header, data = split(buffer)
    return Frame(*read_header(header), data)


def split(buffer: Buffer | Packet) -> tuple[bytes, Pieces]:
    """Return the header of a buffer, unread, and what follows it.

    Raises:
        WireError: the buffer is truncated.
    """
    pieces = buffer.pieces if isinstance(buffer, Packet) else (buffer,)
    flat, *others = [_flat(piece) for piece in pieces] or [np.empty(0, np.uint8)]
    if flat.size < _LENGTH_BYTES:
        _fail("the buffer is truncated", f"at least {_LENGTH_BYTES} bytes", flat.size)
    length = int.from_bytes(flat[:_LENGTH_BYTES].data, "little")
    limit = min(HEADER_LIMIT, flat.size - _LENGTH_BYTES)
    if length > limit:
        _fail("the header is too long, or truncated", f"at most {limit} bytes", length)
    start = _LENGTH_BYTES + length
    return flat[_LENGTH_BYTES:start].tobytes(), (flat[start:], *others)


def read_header(header: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the metadata in a header, and the descriptions of the arrays, unchecked.

    Raises:
        WireError: it is not what `pack` could have written.
    """
    entries = from_json(header, "the header")
    metadata = entries.pop(METADATA, None)
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        _fail("the metadata is malformed", f"{METADATA}: an object of strings", bounded(metadata))
    if not all(map(_is_text, metadata.values())):
        _fail("the metadata hold half a character", "Unicode without surrogates", bounded(metadata))
    return metadata, entries


def _flat(buffer: Buffer) -> Bytes:
    try:
        flat = np.frombuffer(buffer, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise malformed("not a buffer", "contiguous bytes", type(buffer).__name__) from error
    flat.flags.writeable = False
    return flat


def prefix_of(header: bytes) -> bytes:
    """Return what stands before the data: the length of a header, and the header.

    Raises:
        WireError: it is too long.
    """
    start = -(-(_LENGTH_BYTES + len(header)) // ALIGNMENT) * ALIGNMENT
    length = start - _LENGTH_BYTES
    if length > HEADER_LIMIT:
        _fail("the header is too long", f"at most {HEADER_LIMIT} bytes", length)
    return length.to_bytes(_LENGTH_BYTES, "little") + header.ljust(length)


def _describe(name: str, entry: Any) -> Span:
    """Return what an entry says of an array, checked against itself."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        _fail(
            f"array {bounded(name)} is not described", "dtype, shape, data_offsets", bounded(entry)
        )
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        _fail(f"unknown dtype of {bounded(name)}", ", ".join(_DTYPES), bounded(code))
    if not _are_ints(shape, least=1) or len(shape) > MAX_RANK:
        _fail(f"bad shape of {bounded(name)}", f"at most {MAX_RANK} sizes >= 1", bounded(shape))
    if not _are_ints(offsets, least=0) or len(offsets) != 2:
        _fail(f"bad offsets of {bounded(name)}", "[begin, end]", bounded(offsets))
    begin, end = offsets
    span = math.prod(shape) * _DTYPES[code].itemsize
    if end - begin != span:
        _fail(f"offsets of {bounded(name)} do not fit its shape", f"{span} bytes", end - begin)
    return Span(name, _DTYPES[code], tuple(shape), begin, end)


def _is_text(value: str) -> bool:
    """Return whether a string can be encoded: JSON can name half of a surrogate pair, and it can not."""
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def _are_ints(values: Any, least: int) -> bool:
    """Return whether this is a list of ints; ``True`` is none."""
    return isinstance(values, list) and all(type(v) is int and v >= least for v in values)


def _fail(message: str, expected: object, actual: object) -> NoReturn:
    raise malformed(message, expected, actual)
