from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols.errors import WireError
from protocols.wire.buffers import Packet
from protocols.wire.frame import ALIGNMENT, HEADER_LIMIT, lay_out, pack, unpack
from protocols.wire.json_text import from_json, to_json

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"]
ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, max_side=4))
    ),
    max_size=4,
)


def framed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@given(arrays=ARRAYS, metadata=st.dictionaries(st.text(max_size=5), st.text(max_size=20)))
@settings(deadline=None, max_examples=40)
def test_pack_writes_what_unpack_and_safetensors_read(
    arrays: dict[str, Any], metadata: dict[str, str]
) -> None:
    buffer = pack(metadata, arrays)
    frame = unpack(buffer)
    assert frame.metadata == metadata
    theirs = safetensors.numpy.load(buffer.tobytes())
    for read in (frame.arrays(), theirs):
        assert read.keys() == arrays.keys()
        for name, values in arrays.items():
            assert read[name].dtype == values.dtype
            np.testing.assert_array_equal(read[name], values)
    assert all(np.shares_memory(values, buffer) for values in frame.arrays().values())


def test_unpack_reads_what_safetensors_writes() -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1], np.int8)}
    frame = unpack(safetensors.numpy.save(arrays, metadata={"by": "safetensors"}))
    assert frame.metadata == {"by": "safetensors"}
    for name, values in frame.arrays().items():
        np.testing.assert_array_equal(values, arrays[name])


def test_pack_gives_the_same_bytes_whatever_the_order() -> None:
    one, two = np.ones(3, np.int8), np.ones(2, np.float64)
    first = pack({"x": "1", "y": "2"}, {"one": one, "two": two})
    second = pack({"y": "2", "x": "1"}, {"two": two, "one": one})
    assert first.tobytes() == second.tobytes()


def test_pack_aligns_the_data_and_every_array() -> None:
    arrays = {"a": np.ones(3, np.int8), "b": np.ones(2, np.float64), "c": np.ones(1, np.float16)}
    buffer = pack({}, arrays)
    start = 8 + int.from_bytes(buffer[:8].tobytes(), "little")
    assert start % ALIGNMENT == 0
    assert buffer.size == start + 3 + 16 + 2
    assert all(values.flags.aligned for values in unpack(buffer).arrays().values())


def test_pack_gives_a_read_only_buffer() -> None:
    assert not pack({}, {}).flags.writeable


@pytest.mark.parametrize("values", [np.ones(2, ">f4"), np.ones(2, np.complex64), np.ones(2, bool)])
def test_pack_refuses_a_dtype_without_a_place(values: Any) -> None:
    with pytest.raises(WireError, match="cannot be sent"):
        pack({}, {"values": values})


def test_pack_refuses_a_header_beyond_the_limit() -> None:
    with pytest.raises(WireError, match="header is too long"):
        pack({"text": "x" * HEADER_LIMIT}, {})


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.array])
def test_unpack_reads_any_contiguous_buffer_without_changing_it(kind: Any) -> None:
    packed = pack({"a": "b"}, {"values": np.ones(3, np.float32)})
    buffer = packed.copy() if kind is np.array else kind(packed.tobytes())
    values = unpack(buffer).arrays()["values"]
    assert values.tolist() == [1, 1, 1]
    assert not values.flags.writeable
    assert np.shares_memory(values, np.frombuffer(buffer, np.uint8))
    if isinstance(buffer, np.ndarray):
        assert buffer.flags.writeable


@pytest.mark.parametrize("buffer", [None, "text", 3, np.zeros((8, 2), np.uint8)[:, 0]])
def test_unpack_refuses_what_is_no_contiguous_buffer(buffer: Any) -> None:
    with pytest.raises(WireError):
        unpack(buffer)


META: dict[str, Any] = {"__metadata__": {}}
HEADERS: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": bytes(7),
    "no header": bytes(8),
    "truncated header": framed(META)[:-1],
    "length beyond the buffer": (1 << 40).to_bytes(8, "little") + b"{}",
    "greatest length": b"\xff" * 8 + b"{}",
    "one byte too few": (len(b'{"__metadata__":{}}') + 1).to_bytes(8, "little")
    + b'{"__metadata__":{}}',
    "beyond the limit": framed(b'{"__metadata__":{}}'.ljust(HEADER_LIMIT + 1)),
    "not UTF-8": framed(b'{"\xff": 1}'),
    "not JSON": framed(b"{]"),
    "a list": framed([]),
    "a number": framed(b"1"),
    "trailing": framed(b"{} {}"),
    "byte order mark": framed(b"\xef\xbb\xbf{}"),
    "nested": framed(b"[" * 500_000),
    "nested objects": framed(b'{"a":' * 100_000),
    "nan": framed(b'{"__metadata__": {}, "a": NaN}'),
    "infinity": framed(b'{"__metadata__": {}, "a": -Infinity}'),
    "integer of twenty digits": framed(b'{"__metadata__": {}, "a": ' + b"9" * 20 + b"}"),
    "huge integer": framed(b'{"__metadata__": {}, "a": ' + b"9" * 500_000 + b"}"),
    "duplicate keys": framed(b'{"__metadata__": {}, "__metadata__": {}}'),
    "no metadata": framed({}),
    "metadata a list": framed({"__metadata__": []}),
    "metadata of numbers": framed({"__metadata__": {"a": 1}}),
    "half a character": framed(rb'{"__metadata__": {"a": "\ud800"}}'),
    "other half of a character": framed(rb'{"__metadata__": {"a": "tiny\udfff"}}'),
}


@pytest.mark.parametrize("buffer", HEADERS.values(), ids=HEADERS)
def test_unpack_refuses_a_header(buffer: bytes) -> None:
    with pytest.raises(WireError) as caught:
        unpack(buffer)
    assert caught.value.hint
    assert len(str(caught.value)) < 500


ENTRIES: dict[str, tuple[dict[str, Any], int]] = {
    "not an object": ({"a": 1}, 0),
    "nested": ({"a": json.loads("[" * 300 + "]" * 300)}, 0),
    "missing field": ({"a": {"dtype": "F32", "shape": [2]}}, 8),
    "extra field": ({"a": {**entry(), "more": 1}}, 8),
    "unknown dtype": ({"a": entry("F31")}, 8),
    "dtype a list": ({"a": entry(["F32"])}, 8),
    "bool dtype": ({"a": entry("BOOL", [8])}, 8),
    "shape a number": ({"a": entry(shape=2)}, 8),
    "shape of floats": ({"a": entry(shape=[2.0])}, 8),
    "shape of bools": ({"a": entry(shape=[True, 2])}, 8),
    "negative shape": ({"a": entry(shape=[-1, -2])}, 8),
    "empty dimension": ({"a": entry(shape=[0, 10**18], offsets=[0, 0])}, 0),
    "shape that overflows": ({"a": entry(shape=[2**32, 2**32, 2**32], offsets=[0, 0])}, 0),
    "too many dimensions": ({"a": entry(shape=[2] + [1] * 40)}, 8),
    "offsets three": ({"a": entry(offsets=[0, 8, 8])}, 8),
    "offsets of floats": ({"a": entry(offsets=[0, 8.0])}, 8),
    "negative offsets": ({"a": entry(offsets=[-8, 0])}, 8),
    "offsets reversed": ({"a": entry(offsets=[8, 0])}, 8),
    "offsets out of bounds": ({"a": entry(offsets=[8, 16])}, 8),
    "data truncated": ({"a": entry()}, 7),
    "data beyond the arrays": ({"a": entry()}, 9),
    "data without arrays": ({}, 1),
    "span too short": ({"a": entry(offsets=[0, 4])}, 4),
    "span too long": ({"a": entry(shape=[1])}, 8),
    "overlapping": ({"a": entry(), "b": entry(offsets=[4, 12])}, 12),
    "same place": ({"a": entry(), "b": entry()}, 8),
    "gap": ({"a": entry(), "b": entry(offsets=[12, 20])}, 20),
}


@pytest.mark.parametrize(("entries", "size"), ENTRIES.values(), ids=ENTRIES)
def test_arrays_refuses_a_description(entries: dict[str, Any], size: int) -> None:
    frame = unpack(framed({**META, **entries}, bytes(size)))
    with pytest.raises(WireError) as caught:
        frame.arrays()
    assert caught.value.hint
    assert len(str(caught.value)) < 500


# In pieces


def laid_out() -> tuple[dict[str, Any], Packet]:
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.arange(4, dtype=np.int8)}
    return arrays, lay_out({"about": "it"}, arrays)


def test_packet_holds_the_arrays_uncopied_and_reads_as_the_buffer_does() -> None:
    arrays, packet = laid_out()
    np.testing.assert_array_equal(packet.joined(), pack({"about": "it"}, arrays))
    frame = unpack(packet)
    assert frame.metadata == {"about": "it"}
    for name, values in frame.arrays().items():
        np.testing.assert_array_equal(values, arrays[name])
        assert np.shares_memory(values, arrays[name])
        assert not values.flags.writeable
        assert arrays[name].flags.writeable


def test_packet_copies_what_is_not_contiguous() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4).T
    np.testing.assert_array_equal(unpack(lay_out({}, {"a": values})).arrays()["a"], values)


HEAD, FIRST, SECOND = laid_out()[1].pieces
EMPTY = np.empty(0, np.uint8)
PIECES_REFUSED: dict[str, tuple[Any, ...]] = {
    "none": (),
    "no header": (EMPTY, HEAD, FIRST, SECOND),
    "no arrays": (HEAD,),
    "one missing": (HEAD, FIRST),
    "the other missing": (HEAD, SECOND),
    "swapped": (HEAD, SECOND, FIRST),
    "one more": (HEAD, FIRST, SECOND, SECOND[:1]),
    "an empty one more": (HEAD, FIRST, SECOND, EMPTY),
    "an empty one between": (HEAD, FIRST, EMPTY, SECOND),
    "too short": (HEAD, FIRST[:-1], SECOND),
    "too long": (HEAD, FIRST, np.append(SECOND, SECOND)),
    "divided within an array": (HEAD, FIRST[:8], FIRST[8:], SECOND),
    "border moved": (HEAD, np.append(FIRST, SECOND[:1]), SECOND[1:]),
    "header divided": (HEAD[:20], HEAD[20:], FIRST, SECOND),
    "header in half its length": (HEAD[:7], HEAD[7:], FIRST, SECOND),
    "text": (HEAD, FIRST, "text"),
    "not contiguous": (HEAD, FIRST, np.repeat(SECOND, 2)[::2]),
}


@pytest.mark.parametrize("pieces", PIECES_REFUSED.values(), ids=PIECES_REFUSED)
def test_pieces_that_do_not_fit_the_header_are_refused(pieces: tuple[Any, ...]) -> None:
    with pytest.raises(WireError) as caught:
        unpack(Packet(pieces)).arrays()
    assert caught.value.hint


def test_json_of_a_mapping_is_sorted_and_plain() -> None:
    assert to_json({"b": [1, 0.5], "a": "é"}) == '{"a":"\\u00e9","b":[1,0.5]}'
    assert from_json('{"a": 1}', "it") == {"a": 1}
