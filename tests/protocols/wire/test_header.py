from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import RejectedMessage, WireError
from protocols.messages import Envelope, Gradient
from protocols.wire.header import (
    ALIGNMENT,
    HEADER_LIMIT,
    ArrayEntry,
    CodedFields,
    Header,
    decode_header,
    encode_header,
    table_of,
)

ENVELOPE = Envelope(sender=0, round=3, hop=1, kind="weights")
HEADER = Header(ENVELOPE, {"weight": 3.0, "layout": "tiny"}, None, (ArrayEntry("a", "F32", (9,)),))
PLAIN: list[Any] = [
    [0, 3, 1, "weights", ["detached", 0]],
    {"layout": "tiny", "weight": 3.0},
    None,
    [["a", "F32", [9]]],
]


def read(buffer: bytes) -> tuple[Header, int]:
    return decode_header(np.frombuffer(buffer, np.uint8))


def test_header_reads_as_it_was_written() -> None:
    coding = CodedFields({"kind": "int8"}, {"values": (2, 3)})
    gradient = Gradient(kind="stale", staleness=4)
    for header in (
        HEADER,
        Header(Envelope(7, 0, 2**31 - 1, "é", gradient), {}, coding, ()),
        Header(ENVELOPE, {"a": [1, "b"], "c": {"d": True, "e": None}}, None, ()),
    ):
        buffer = encode_header(header)
        assert read(buffer + b"data") == (header, len(buffer))


def test_bytes_of_a_header_are_these(forge: Any) -> None:
    buffer = encode_header(HEADER)
    assert buffer == forge(PLAIN)
    assert buffer[:8] == b"AGOS\x01\x00\x00\x00"
    body = b"\x94\x95\x00\x03\x01\xa7weights\x92\xa8detached\x00"
    body += b"\x82\xa6layout\xa4tiny\xa6weight\xcb" + np.array(3.0, ">f8").tobytes()
    body += b"\xc0\x91\x93\xa1a\xa3F32\x91\x09"
    assert buffer[16:].rstrip(b"\0") == body.rstrip(b"\0")


def test_data_start_aligned_whatever_the_length() -> None:
    for length in range(200):
        buffer = encode_header(Header(ENVELOPE, {"layout": "x" * length}, None, ()))
        assert len(buffer) % ALIGNMENT == 0
        assert read(buffer)[1] == len(buffer)


def test_header_does_not_depend_on_the_order_of_a_mapping() -> None:
    reverse = {"layout": "tiny", "weight": 3.0}
    assert encode_header(msgspec.structs.replace(HEADER, scalars=reverse)) == encode_header(HEADER)


def test_table_has_wide_arrays_first() -> None:
    dtypes = {"a": "i1", "b": "f8", "c": "f2", "d": "f4"}
    table = table_of({name: (np.dtype(dtype), (1,)) for name, dtype in dtypes.items()})
    assert [entry.name for entry in table] == ["b", "d", "c", "a"]


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(">f4", (2,)), ("c8", (2,)), ("?", (2,)), ("O", (2,)), ("f4", (0,)), ("f4", (1,) * 9)],
)
def test_table_refuses_what_cannot_be_sent(dtype: str, shape: Any) -> None:
    with pytest.raises(WireError, match="cannot be sent"):
        table_of({"values": (np.dtype(dtype), shape)})


@pytest.mark.parametrize(
    "scalar",
    [object(), 2**64, -(2**63) - 1, "\ud800", np.ones(3)],
    ids=lambda value: type(value).__name__,
)
def test_scalar_that_cannot_be_sent_is_refused(scalar: Any) -> None:
    with pytest.raises(WireError, match="cannot be sent"):
        encode_header(Header(ENVELOPE, {"x": scalar}, None, ()))


def test_header_beyond_the_limit_is_refused() -> None:
    with pytest.raises(WireError, match="header is too long"):
        encode_header(Header(ENVELOPE, {"x": "x" * HEADER_LIMIT}, None, ()))


# The preamble


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_another_version_is_refused_naming_both_before_anything_else_is_read(
    forge: Any, version: int
) -> None:
    with pytest.raises(RejectedMessage, match=f"version {version}: this release reads 1") as caught:
        read(forge(b"?", version=version))
    error = caught.value
    assert (error.reason, error.expected, error.actual) == ("version", "1", str(version))
    assert error.hint


def damaged(change: Callable[[bytearray], Any]) -> bytes:
    buffer = bytearray(encode_header(HEADER))
    return bytes(change(buffer) or buffer)


PREAMBLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated"),
    "fifteen bytes": (damaged(lambda b: b[:15]), "truncated"),
    "zeros": (bytes(64), "begins otherwise"),
    "another magic": (damaged(lambda b: b.__setitem__(0, 66)), "begins otherwise"),
    "safetensors": (b"\x38\0\0\0\0\0\0\0" + b'{"__metadata__":{}}'.ljust(56), "begins otherwise"),
    "length 0": (damaged(lambda b: b.__setitem__(slice(8, 12), bytes(4))), "damaged"),
    "a byte longer": (damaged(lambda b: b.__setitem__(8, b[8] + 1)), "damaged"),
    "length beyond the buffer": (damaged(lambda b: b.__setitem__(9, 1)), "too long, or truncated"),
    "greatest length": (
        damaged(lambda b: b.__setitem__(slice(8, 12), b"\xff" * 4)),
        "too long, or truncated",
    ),
    "checksum": (damaged(lambda b: b.__setitem__(12, b[12] ^ 1)), "damaged"),
    "a bit of the struct": (damaged(lambda b: b.__setitem__(30, b[30] ^ 1)), "damaged"),
    "padding": (damaged(lambda b: b.__setitem__(-1, 1)), "padding"),
    "padding cut off": (damaged(lambda b: b[:-1]), "too long, or truncated"),
}


@pytest.mark.parametrize(("buffer", "message"), PREAMBLES.values(), ids=PREAMBLES)
def test_preamble_is_refused(buffer: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        read(buffer)
    assert caught.value.hint
    assert len(str(caught.value)) < 500


def test_header_beyond_the_limit_is_refused_unread(forge: Any) -> None:
    with pytest.raises(WireError, match="too long"):
        read(forge(b"\x90".ljust(HEADER_LIMIT + 1)))


# The struct


def with_field(*path: int | str, value: Any) -> Any:
    def changed(node: Any, path: tuple[int | str, ...]) -> Any:
        if not path:
            return value
        items = dict(node) if isinstance(node, dict) else list(node)
        items[path[0]] = changed(node[path[0]], path[1:])
        return items

    return changed(PLAIN, path)


STRUCTS: dict[str, Any] = {
    "empty": b"",
    "not an array": {"envelope": 1},
    "a number": 1,
    "a field less": PLAIN[:3],
    "a field more": [*PLAIN, 1],
    "two structs": msgspec.msgpack.encode(PLAIN) * 2,
    "truncated": msgspec.msgpack.encode(PLAIN)[:-1],
    "not msgpack": b"\xc1",
    "nested": b"\x91" * 100_000,
    "nested mappings": b"\x81\xa1a" * 100_000,
    "an array of billions": b"\xdd\xff\xff\xff\xff",
    "a text of billions": b"\x94\xdb\xff\xff\xff\xff",
    "envelope of names": with_field(0, value={"sender": 0}),
    "envelope with more": with_field(0, value=[*PLAIN[0], 1]),
    "envelope with recipients": with_field(0, value=[0, [1, 2], *PLAIN[0][1:]]),
    "sender as text": with_field(0, 0, value="0"),
    "sender as bool": with_field(0, 0, value=False),
    "sender none": with_field(0, 0, value=None),
    "sender too large": with_field(0, 0, value=2**31),
    "round as float": with_field(0, 1, value=3.0),
    "round negative": with_field(0, 1, value=-1),
    "round huge": with_field(0, 1, value=2**64 - 1),
    "kind a number": with_field(0, 3, value=1),
    "kind bytes": with_field(0, 3, value=b"weights"),
    "kind half a character": msgspec.msgpack.encode(PLAIN).replace(
        b"\xa7weights", b"\xa7weig\xed\xa0\x80"
    ),
    "unknown gradient": with_field(0, 4, 0, value="late"),
    "detached with an age": with_field(0, 4, 1, value=1),
    "stale without an age": with_field(0, 4, 0, value="stale"),
    "gradient a text": with_field(0, 4, value="detached"),
    "scalars a list": with_field(1, value=[]),
    "scalar key a number": msgspec.msgpack.encode(with_field(1, value={1: 2})),
    "scalar key twice": msgspec.msgpack.encode(PLAIN, order="deterministic").replace(
        b"\xa6weight", b"\xa6layout"
    ),
    "scalars out of order": msgspec.msgpack.encode(
        with_field(1, value={"weight": 3.0, "layout": "tiny"})
    ),
    "scalar of bytes": with_field(1, value={"layout": b"tiny"}),
    "scalar of a time": b"\x94"
    + msgspec.msgpack.encode(PLAIN[0])
    + b"\x81\xa1a\xd6\xff\0\0\0\0\xc0\x90",
    "scalar of an extension": with_field(1, value={"a": msgspec.msgpack.Ext(5, b"x")}),
    "scalars nested": with_field(1, value={"a": {"b": {"c": 1}}}),
    "coding a number": with_field(2, value=1),
    "coding without shapes": with_field(2, value=[{}]),
    "coded shape of zero": with_field(2, value=[{}, {"values": [2, 0]}]),
    "coded shape of nothing": with_field(2, value=[{}, {"values": []}]),
    "coded shape of floats": with_field(2, value=[{}, {"values": [2.0]}]),
    "coded shape of bools": with_field(2, value=[{}, {"values": [True]}]),
    "coded shape of nine": with_field(2, value=[{}, {"values": [1] * 9}]),
    "table a mapping": with_field(3, value={"a": 1}),
    "entry without a shape": with_field(3, value=[["a", "F32"]]),
    "entry with offsets": with_field(3, value=[["a", "F32", [9], [0, 36]]]),
    "unknown dtype": with_field(3, 0, 1, value="F31"),
    "dtype a list": with_field(3, 0, 1, value=["F32"]),
    "bool dtype": with_field(3, 0, 1, value="BOOL"),
    "shape a number": with_field(3, 0, 2, value=9),
    "shape of floats": with_field(3, 0, 2, value=[9.0]),
    "shape of bools": with_field(3, 0, 2, value=[True]),
    "negative shape": with_field(3, 0, 2, value=[-9]),
    "empty dimension": with_field(3, 0, 2, value=[0, 2**60]),
    "too many dimensions": with_field(3, 0, 2, value=[1] * 9),
    "arrays out of order": with_field(3, value=[["b", "F32", [1]], ["a", "F32", [1]]]),
    "narrow arrays first": with_field(3, value=[["a", "F16", [1]], ["b", "F32", [1]]]),
    "an array twice": with_field(3, value=[["a", "F32", [1]], ["a", "F32", [1]]]),
    "a name twice": with_field(3, value=[["a", "F32", [1]], ["a", "F16", [1]]]),
    "a long integer": msgspec.msgpack.encode(PLAIN).replace(b"\x95\x00\x03", b"\x95\x00\xcc\x03"),
    "a long text": msgspec.msgpack.encode(PLAIN).replace(b"\xa4tiny", b"\xd9\x04tiny"),
    "a short float": msgspec.msgpack.encode(PLAIN).replace(
        b"\xcb" + np.array(3.0, ">f8").tobytes(), b"\xca" + np.array(3.0, ">f4").tobytes()
    ),
}


@pytest.mark.parametrize("struct", STRUCTS.values(), ids=STRUCTS)
def test_struct_is_refused_and_allocates_little(forge: Any, struct: Any) -> None:
    buffer = forge(struct)
    tracemalloc.start()
    with pytest.raises(WireError) as caught:
        read(buffer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.hint
    assert len(str(caught.value)) < 700
    assert peak < 2_000_000


def test_any_struct_is_refused(forge: Any) -> None:
    @given(st.binary(max_size=200))
    @settings(max_examples=200)
    def refused(body: bytes) -> None:
        with pytest.raises(WireError):
            read(forge(body))

    refused()
