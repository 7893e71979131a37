from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols.errors import WireError
from protocols.messages import Envelope
from protocols.wire.buffers import Packet, checksum, joined
from protocols.wire.frame import frame, frame_bytes, tile, unframe
from protocols.wire.header import ALIGNMENT, ArrayEntry, Header, table_of

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"]
ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, max_side=4))
    ),
    max_size=4,
)
ENVELOPE = Envelope(sender=0, round=3, hop=1, kind="weights")


def header(arrays: dict[str, Any]) -> Header:
    table = table_of({name: (values.dtype, values.shape) for name, values in arrays.items()})
    return Header(ENVELOPE, {"about": "it"}, None, table)


def framed(arrays: dict[str, Any]) -> Packet:
    return frame(header(arrays), arrays)


def unframed(message: Any) -> dict[str, Any]:
    read, data = unframe(message)
    return tile(read.arrays, data)


@given(arrays=ARRAYS)
@settings(max_examples=60)
def test_arrays_survive_in_pieces_and_in_one_buffer(arrays: dict[str, Any]) -> None:
    packet = framed(arrays)
    assert packet.nbytes == frame_bytes(header(arrays))
    for message in (packet, packet.joined()):
        assert unframe(message)[0] == header(arrays)
        read = unframed(message)
        assert read.keys() == arrays.keys()
        for name, values in arrays.items():
            assert (read[name].dtype, read[name].shape) == (values.dtype, values.shape)
            np.testing.assert_array_equal(read[name], values)
            assert not read[name].flags.writeable
            if isinstance(message, np.ndarray):
                assert np.shares_memory(read[name], message)


def test_order_of_the_arrays_changes_no_byte() -> None:
    one, two = np.ones(3, np.int8), np.ones(2, np.float64)
    first, second = framed({"one": one, "two": two}), framed({"two": two, "one": one})
    assert first.joined().tobytes() == second.joined().tobytes()


def test_data_and_every_array_are_aligned() -> None:
    arrays = {"a": np.ones(3, np.int8), "b": np.ones(2, np.float64), "c": np.ones(1, np.float16)}
    buffer = framed(arrays).joined()
    assert buffer.size % ALIGNMENT == 3 + 16 + 2
    assert all(values.flags.aligned for values in unframed(buffer).values())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.array])
def test_any_contiguous_buffer_is_read_without_changing_it(kind: Any) -> None:
    whole = framed({"values": np.ones(3, np.float32)}).joined()
    buffer = whole.copy() if kind is np.array else kind(whole.tobytes())
    values = unframed(buffer)["values"]
    assert values.tolist() == [1, 1, 1]
    assert not values.flags.writeable
    assert np.shares_memory(values, np.frombuffer(buffer, np.uint8))
    if isinstance(buffer, np.ndarray):
        assert buffer.flags.writeable


@pytest.mark.parametrize("buffer", [None, "text", 3, np.zeros((8, 2), np.uint8)[:, 0]])
def test_buffer_that_is_not_contiguous_bytes_is_refused(buffer: Any) -> None:
    with pytest.raises(WireError):
        unframe(buffer)


ROWS: dict[str, tuple[list[tuple[str, str, tuple[int, ...]]], int]] = {
    "data truncated": ([("a", "F32", (2,))], 7),
    "no data": ([("a", "F32", (2,))], 0),
    "data beyond the arrays": ([("a", "F32", (2,))], 9),
    "data without arrays": ([], 1),
    "second array truncated": ([("a", "F32", (2,)), ("b", "F32", (2,))], 12),
    "shape that overflows": ([("a", "F32", (2**32, 2**32, 2**32))], 8),
    "terabytes": ([("a", "F32", (2**38,))], 8),
}


@pytest.mark.parametrize(("rows", "size"), ROWS.values(), ids=ROWS)
def test_table_that_does_not_fit_the_data_is_refused(
    rows: list[tuple[str, str, tuple[int, ...]]], size: int
) -> None:
    entries = [ArrayEntry(*row) for row in rows]
    with pytest.raises(WireError) as caught:
        tile(entries, (np.zeros(size, np.uint8),))
    assert caught.value.hint
    assert len(str(caught.value)) < 500


# In pieces


def laid_out() -> tuple[dict[str, Any], Packet]:
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.arange(4, dtype=np.int8)}
    return arrays, framed(arrays)


def test_packet_holds_the_arrays_uncopied() -> None:
    arrays, packet = laid_out()
    for name, values in unframed(packet).items():
        np.testing.assert_array_equal(values, arrays[name])
        assert np.shares_memory(values, arrays[name])
        assert not values.flags.writeable
        assert arrays[name].flags.writeable


def test_packet_copies_what_is_not_contiguous() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4).T
    np.testing.assert_array_equal(unframed(framed({"a": values}))["a"], values)


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
        unframed(Packet(pieces))
    assert caught.value.hint


def test_packet_is_its_pieces_one_after_another() -> None:
    pieces = tuple(np.arange(start, start + 3 * start, dtype=np.uint8) for start in (1, 2, 5))
    packet, whole = Packet(pieces), np.concatenate(pieces)
    np.testing.assert_array_equal(packet.joined(), whole)
    assert not packet.joined().flags.writeable
    np.testing.assert_array_equal(joined(packet), whole)
    assert joined(whole) is whole
    assert checksum(packet) == checksum(whole) == zlib.crc32(whole.tobytes())
