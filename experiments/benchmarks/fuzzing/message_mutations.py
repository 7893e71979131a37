"""Mutations of messages: damage and lies that reach every check of the wire format.

Besides the blind ones, some know the format (see `protocols.wire.header`): they lie in the preamble, change
values of the header or bytes of it, with length, checksum and padding to match, claim other arrays, and
write impossible numbers into the data.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from operator import index
from struct import Struct
from typing import Any

import msgspec
import numpy as np

from experiments.benchmarks.fuzzing.mutations import (
    BLIND,
    FLOATS,
    Mutation,
    Rng,
    edited,
    flip_bits,
    overwrite,
)
from protocols.wire.buffers import Packet
from protocols.wire.header import DTYPES

_PREAMBLE = Struct("<4sIII")
_DEEP = 20_000
_INSERTS = (
    *(b"\x91" * _DEEP, b"\x81\xa1a" * _DEEP, b"\xc1", b"\xc0", b"\x00", b"\xcb" + b"\xff" * 8),
    *(
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ),
    *(b"\xd6\xff\x00\x00\x00\x00", b"\xd4\x05\x01", b"\xa3\xed\xa0\x80", b"\xcc\x01", b"\xd9\x01a"),
    *(
        b"\xca\x7f\xc0\x00\x00",
        b"\xcf" + b"\xff" * 8,
        b"\xd3\x80" + bytes(7),
        b"\x82\xa1a\x01\xa1a\x02",
    ),
)
"""Msgpack that is deep, false about its length, of other types, or written at greater length than needed."""


def lie_in_preamble(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Claim another magic, version, length of the header or checksum."""
    if len(buffer) < _PREAMBLE.size:
        return flip_bits(buffer, rng, others)
    fields = list(_PREAMBLE.unpack_from(buffer))
    place = int(rng.integers(4))
    length = fields[2]
    claims: tuple[Any, ...] = (
        (b"AGOT", b"\0\0\0\0", b"SOGA"),
        (0, 2, 2**31, 2**32 - 1),
        (0, 1, length - 1, length + 1, 2 * length, 2**20, 2**20 + 1, 2**32 - 1),
        (0, fields[3] ^ 1, 2**32 - 1),
    )[place]
    claim = claims[rng.integers(len(claims))]
    fields[place] = claim if place == 0 else claim % 2**32
    return _PREAMBLE.pack(*fields) + buffer[_PREAMBLE.size :]


def edit_struct(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Change a value or a key somewhere in the header."""
    header = _header(buffer)
    if header is None:
        return flip_bits(buffer, rng, others)
    for _ in range(int(rng.integers(1, 4))):
        header = edited(header, rng)
    return _with_header(buffer, header, rng)


def damage_struct(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Change bytes of the header's struct, with a preamble to match."""
    body = _body(buffer)
    change = flip_bits if rng.random() < 0.5 else overwrite
    return _with_body(buffer, change(body, rng, others))


def insert_msgpack(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Put msgpack that means harm into the header's struct, or in the place of some of it."""
    body = _body(buffer)
    at, skipped = int(rng.integers(len(body) + 1)), int(rng.integers(4))
    insert = _INSERTS[rng.integers(len(_INSERTS))]
    return _with_body(buffer, body[:at] + insert + body[at + skipped :])


def claim_arrays(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Claim arrays of other names, types, shapes or order."""
    header = _header(buffer)
    table = header[3] if isinstance(header, list) and len(header) == 4 else None
    if not isinstance(table, list) or not table:
        return edit_struct(buffer, rng, others)
    at = int(rng.integers(len(table)))
    rank = int(rng.integers(0, 11))
    sizes = rng.choice(np.array([0, 1, 2, 3, 2**16, 2**31, 2**40], object), size=rank)
    dtype = str(rng.choice(["F64", "F32", "F16", "I64", "U8", "BF16", "BOOL"]))
    name = table[at][0] if isinstance(table[at], list) and table[at] else "values"
    claim = [name, dtype, [int(size) for size in sizes]]
    chance = rng.random()
    if chance < 0.6:
        table[at] = claim
    elif chance < 0.8:
        table.insert(at, claim)
    else:
        table.append(table.pop(0))
    return _with_header(buffer, header, rng)


def change_data(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Write numbers that are not finite, or extreme, into the data."""
    start = _start(buffer)
    data = np.frombuffer(buffer, np.uint8)[start:].copy()
    whole = data[: len(data) // 4 * 4].view("<f4")
    if whole.size:
        whole[rng.integers(whole.size, size=3)] = rng.choice(FLOATS, size=3)
    return buffer[:start] + data.tobytes()


def swap_data(buffer: bytes, rng: Rng, others: Sequence[bytes]) -> bytes:
    """Join the header of one message with the data of another."""
    other = others[int(rng.integers(len(others)))]
    return buffer[: _start(buffer)] + other[_start(other) :]


MESSAGES: tuple[Mutation, ...] = (
    *BLIND,
    lie_in_preamble,
    change_data,
    swap_data,
    edit_struct,
    edit_struct,
    edit_struct,
    damage_struct,
    damage_struct,
    insert_msgpack,
    claim_arrays,
    claim_arrays,
)
"""Mutations of messages; those that reach deepest come most often."""


def cut(buffer: bytes, rng: Rng) -> Packet:
    """Return a message in pieces: mostly those of its array table; also too many, too few, or others.

    Example:
        >>> cut(b"some bytes", np.random.default_rng(0)).nbytes
        10
    """
    places = {_start(buffer)}
    for size in _sizes(buffer):
        end = max(places) + size
        if end < len(buffer):
            places.add(end)
    chance = rng.random()
    if chance < 0.1:
        places.add(int(rng.integers(len(buffer) + 1)))
    elif chance < 0.2:
        places.discard(int(rng.choice(sorted(places))))
    pieces = np.split(np.frombuffer(buffer, np.uint8), sorted(places))
    if chance > 0.9:
        pieces[int(rng.integers(len(pieces)))] = pieces[int(rng.integers(len(pieces)))]
    return Packet(tuple(pieces))


def _sizes(buffer: bytes) -> list[int]:
    """Return the bytes of each array that the header names, where it does."""
    header = _header(buffer)
    try:
        rows = [(DTYPES[dtype].itemsize, shape) for _, dtype, shape in header[3]]
        return [itemsize * math.prod(map(index, shape)) for itemsize, shape in rows]
    except (TypeError, ValueError, IndexError, KeyError):
        return []


def _start(buffer: bytes) -> int:
    """Return where the data begin, by what the buffer claims."""
    end = _PREAMBLE.size + int.from_bytes(buffer[8:12], "little")
    return min(len(buffer), -(-end // 64) * 64)


def _body(buffer: bytes) -> bytes:
    return buffer[_PREAMBLE.size : _PREAMBLE.size + int.from_bytes(buffer[8:12], "little")]


def _header(buffer: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(_body(buffer))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _with_header(buffer: bytes, header: Any, rng: Rng) -> bytes:
    order: Any = "deterministic" if rng.random() < 0.9 else None
    try:
        body = msgspec.msgpack.encode(header, order=order)
    except (TypeError, ValueError, OverflowError, RecursionError):  # not every lie can be written
        return damage_struct(buffer, rng, [buffer])
    return _with_body(buffer, body)


def _with_body(buffer: bytes, body: bytes) -> bytes:
    head = _PREAMBLE.pack(b"AGOS", 1, len(body), zlib.crc32(body)) + body
    return head.ljust(-(-len(head) // 64) * 64, b"\0") + buffer[_start(buffer) :]
