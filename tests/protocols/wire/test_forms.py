"""Messages of one form: packed and admitted sooner, and just as `packet_of` and `admit` would."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocols.wire.forms
from experiments.benchmarks.fuzz_targets import payloads
from protocols.codecs.fp16 import Fp16
from protocols.errors import RejectedMessage, WireError
from protocols.messages import Gradient, Message, Metrics, Payload, Weights
from protocols.wire.forms import Admission, Packing
from protocols.wire.frame import pack, split, unpack
from protocols.wire.serialize import decode, encode, packet_of
from protocols.wire.validate import Expectation, admit

SENDERS = frozenset(range(1, 200))


def weights(value: float = 1.0, **scalars: Any) -> Weights:
    fields = {"weight": 12.0, "layout": "tiny", **scalars}
    return Weights(values=np.full(6, value, np.float32), **fields)


def message(payload: Payload, sender: int = 7, *recipients: int) -> Message:
    return Message.compose(payload, sender=sender, recipients=recipients or (0,), round=3, hop=1)


def expecting(payload: type[Payload] = Weights, **changes: Any) -> Expectation:
    fields = {"round": 3, "hop": 1, "recipient": 0, "senders": SENDERS, **changes}
    return Expectation(payload=payload, **fields)


def primed(expectation: Expectation, payload: Payload | None = None) -> Admission:
    admission = Admission()
    admission(encode(message(payload or weights(), 1)), expectation)
    return admission


def outcome(admission: Any, buffer: Any, expectation: Expectation) -> Any:
    try:
        return admission(buffer, expectation)
    except RejectedMessage as error:
        return error.reason, error.sender, str(error)


@pytest.fixture
def no_slow_way(monkeypatch: pytest.MonkeyPatch) -> Any:
    def close() -> None:
        def admit(*_: Any) -> Message:
            raise AssertionError("this message was read from its beginning")

        monkeypatch.setattr(protocols.wire.forms, "admit", admit)

    return close


@pytest.mark.parametrize("payload", payloads(), ids=lambda payload: payload.kind)
def test_second_message_of_a_form_is_known(payload: Payload, no_slow_way: Any) -> None:
    expectation = expecting(type(payload))
    admission = primed(expectation, payload)
    no_slow_way()
    for sender, recipients in ((7, (0,)), (123, (0, 3, 8)), (1, (0, 2))):
        sent = message(payload, sender, *recipients)
        assert admission(encode(sent), expectation) == sent
        assert admission(packet_of(sent), expectation) == sent


def test_messages_may_differ_in_scalars(no_slow_way: Any) -> None:
    admission = primed(expecting(layout="tiny"))
    no_slow_way()
    for weight in (12.0, 0.5, 1e9, 12.0):
        sent = message(weights(weight, weight=weight))
        assert admission(encode(sent), expecting(layout="tiny")) == sent


def test_message_that_is_fetched_again_is_read_as_before() -> None:
    admission = primed(expecting())
    for payload in (weights(3.0), weights(4.0, weight=5.0), weights(4.0, layout="vast")):
        sent = message(payload)
        for buffer in (encode(sent), packet_of(sent), encode(sent, Fp16())):
            assert admission.again(buffer) == decode(buffer)
            assert Admission().again(buffer) == decode(buffer)


def test_arrays_are_views_that_nobody_may_write_to() -> None:
    admission, buffer = primed(expecting()), encode(message(weights()))
    values = admission(buffer, expecting()).payload.values  # type: ignore[attr-defined]
    assert np.shares_memory(values, buffer)
    assert not values.flags.writeable


def test_array_that_is_not_aligned_is_copied() -> None:
    admission, buffer = primed(expecting()), encode(message(weights(2.0)))
    shifted = np.empty(buffer.size + 1, np.uint8)[1:]
    shifted[:] = buffer
    values = admission(shifted, expecting()).payload.values  # type: ignore[attr-defined]
    assert values.flags.aligned
    assert values.tolist() == [2.0] * 6


def test_no_buffer_is_kept() -> None:
    admission, values = Admission(), np.ones(6, np.float32)
    buffer = encode(message(Weights(values=values, weight=1.0, layout="tiny")))
    kept = weakref.ref(buffer)
    admission(buffer, expecting())
    del buffer
    assert kept() is None


def test_coded_messages_are_admitted_from_their_beginning() -> None:
    expectation, admission = expecting(codec=Fp16()), Admission()
    for sender in (1, 2, 3):
        sent = encode(message(weights(float(sender)), sender), Fp16())
        assert admission(sent, expectation) == admit(sent, expectation)


def test_what_is_asked_may_change() -> None:
    admission, sent = primed(expecting()), encode(message(weights()))
    for expectation in (
        expecting(layout="tiny"),
        expecting(layout="small"),
        expecting(shapes={"values": (6,)}),
        expecting(shapes={"values": (7,)}),
        expecting(round=4),
        expecting(rounds=(1, 5)),
        expecting(recipient=2),
        expecting(senders=frozenset({1})),
        expecting(codec=Fp16()),
        expecting(),
    ):
        assert outcome(admission, sent, expectation) == outcome(admit, sent, expectation)


def edited(sent: Any, *changes: tuple[bytes, bytes]) -> Any:
    """Return a buffer in whose header some text stands for another."""
    header, data = split(sent)
    for old, new in changes:
        assert old in header
        header = header.rstrip(b" ").replace(old, new, 1)
    header = header.ljust(-(-(8 + len(header)) // 64) * 64 - 8)
    joined = len(header).to_bytes(8, "little") + header + b"".join(d.tobytes() for d in data)
    return np.frombuffer(joined, np.uint8)


ENDS = b'","version":"1"'
LIES: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    "sender with a zero before it": ((b'er\\":7', b'er\\":07'),),
    "sender of eleven digits": ((b'er\\":7', b'er\\":77777777777'),),
    "sender beyond all numbers": ((b'er\\":7', b'er\\":' + b"7" * 5000),),
    "sender too large": ((b'er\\":7', b'er\\":2147483648'),),
    "sender below zero": ((b'er\\":7', b'er\\":-7'),),
    "sender that is a fraction": ((b'er\\":7', b'er\\":7.0'),),
    "sender that is true": ((b'er\\":7', b'er\\":true'),),
    "sender that is a digit elsewhere": ((b'er\\":7', b'er\\":\xd9\xa7'),),
    "sender among the recipients": ((b"[0]", b"[0,7]"),),
    "nobody as sender": ((b'er\\":7', b'er\\":'),),
    "nobody as recipient": ((b"[0]", b"[]"),),
    "recipients out of order": ((b"[0]", b"[3,0]"),),
    "a recipient twice": ((b"[0]", b"[0,0]"),),
    "a space between recipients": ((b"[0]", b"[0, 3]"),),
    "another weight": ((b"12.0", b"13.0"),),
    "a weight written otherwise": ((b"12.0", b"12.00"),),
    "an integer for a weight": ((b"12.0", b"12"),),
    "a weight of nothing": ((b"12.0", b"0.0"),),
    "a weight that is no number": ((b"12.0", b"NaN"),),
    "another layout": ((b"tiny", b"vast"),),
    "a scalar more": ((b"12.0", b'12.0,\\"x\\":1'),),
    "no JSON": ((b"12.0", b"12.0}"),),
    "a control character": ((b"tiny", b"ti\x01y"),),
    "a byte that is no UTF-8": ((b"tiny", b"ti\xffy"),),
    "half a character": ((b"tiny", b"ti\\ud800y"),),
    "half a character for scalars": ((b'{\\"layout\\":\\"tiny\\",\\"weight\\":12.0}', b"\\ud800"),),
    "metadata more": ((ENDS, b'","quite":"new' + ENDS),),
    "metadata twice": ((ENDS, b'","payload":"{}' + ENDS),),
    "another version": ((b'version":"1"', b'version":"2"'),),
    "spaces behind": ((b"}}", b"}}  \n"),),
    "another shape": ((b"[6]", b"[2,3]"),),
    "more data than there are": ((b"[0,24]", b"[0,28]"), (b"[6]", b"[7]")),
    "a second array": ((b'"values":', b'"more":{"dtype":"F32"},"values":'),),
}


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES)
def test_lie_about_a_known_form_is_found_out_as_ever(changes: Any) -> None:
    expectation = expecting(layout="tiny")
    buffer = edited(encode(message(weights())), *changes)
    assert outcome(primed(expectation), buffer, expectation) == outcome(admit, buffer, expectation)


def test_data_that_are_not_what_the_header_says_are_found_out() -> None:
    expectation, sent = expecting(), encode(message(weights()))
    frame = unpack(sent)
    for buffer in (
        sent[:-4],
        np.concatenate([sent, sent[:4]]),
        encode(message(weights(float("inf")))),
        pack(frame.metadata, {"values": np.ones(6, np.int32)}),
        sent[:20],
        np.empty(0, np.uint8),
    ):
        assert outcome(primed(expectation), buffer, expectation) == outcome(
            admit, buffer, expectation
        )


MARKS = ['\\"sender\\":', '"recipients":[', '}","payload":"', '","version":"', "]", "}", '"', "\\"]
NAMES = st.lists(st.sampled_from([*MARKS, "é", "a", "\n"]), min_size=1, max_size=6).map("".join)


@settings(max_examples=60, deadline=None)
@given(layouts=st.lists(NAMES, min_size=2, max_size=4), senders=st.permutations([7, 8, 9, 10]))
def test_texts_that_look_like_marks_do_not_mislead(layouts: list[str], senders: list[int]) -> None:
    admission, expectation = Admission(), expecting()
    for layout, sender in zip(layouts, senders, strict=False):
        sent = message(weights(layout=layout), sender, 0, 3)
        assert admission(encode(sent), expectation) == sent


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_message_of_a_known_form_is_read_as_ever(data: st.DataObject) -> None:
    expectation = expecting(layout="tiny")
    buffer = encode(message(weights())).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, buffer.size - 1))
        buffer[place] = data.draw(
            st.one_of(st.sampled_from(b'0123456789"\\{}[],: '), st.integers(0, 255))
        )
    assert outcome(primed(expectation), buffer, expectation) == outcome(admit, buffer, expectation)


@pytest.fixture
def no_slow_packing(monkeypatch: pytest.MonkeyPatch) -> Any:
    def close() -> None:
        def packet_of(*_: Any) -> Any:
            raise AssertionError("this message was packed from its beginning")

        monkeypatch.setattr(protocols.wire.forms, "packet_of", packet_of)

    return close


@pytest.mark.parametrize("payload", payloads(), ids=lambda payload: payload.kind)
def test_second_packet_of_a_form_is_the_same(payload: Payload, no_slow_packing: Any) -> None:
    packing = Packing()
    assert packing(message(payload, 1)).joined().tobytes() == encode(message(payload, 1)).tobytes()
    no_slow_packing()
    for sender, recipients in ((7, (0,)), (123, (0, 3, 8)), (2**31 - 1, (0, 2))):
        sent = message(payload, sender, *recipients)
        assert packing(sent).joined().tobytes() == encode(sent).tobytes()


def test_packet_holds_the_arrays_where_they_lie_and_nobody_may_write_to_them() -> None:
    packing, payload = Packing(), weights()
    for _ in range(2):
        header, values = packing(message(payload)).pieces
        assert np.shares_memory(values, payload.values)
        assert not header.flags.writeable
        assert not values.flags.writeable


def test_messages_of_other_forms_are_packed_as_they_are() -> None:
    packing = Packing()
    stale = Gradient(kind="stale", staleness=2)
    for payload in (
        weights(),
        weights(weight=12),
        Metrics(values={"loss": 0.0}),
        Metrics(values={"loss": -0.0}),
        Metrics(values={"loss": 0.0}),
        Weights(values=np.ones(7, np.float32), weight=12.0, layout="tiny"),
    ):
        for fields in ({"round": 3}, {"round": 4}, {"round": 3, "gradient": stale}):
            for hop in (0, 1):
                sent = Message.compose(payload, sender=1, recipients=(0,), hop=hop, **fields)
                for _ in range(2):
                    assert packing(sent).joined().tobytes() == encode(sent).tobytes()


def test_coded_messages_are_packed_as_ever() -> None:
    packing = Packing()
    for value in (1.0, 2.0):
        sent = message(weights(value))
        assert packing(sent, Fp16()).joined().tobytes() == encode(sent, Fp16()).tobytes()
        assert packing(sent).joined().tobytes() == encode(sent).tobytes()


def test_scalars_too_large_for_a_header_are_refused_as_ever() -> None:
    packing = Packing()
    packing(message(weights()))
    with pytest.raises(WireError, match="header is too long"):
        packing(message(weights(layout="x" * 2**20)))


@settings(max_examples=60, deadline=None)
@given(layouts=st.lists(NAMES, min_size=2, max_size=4), senders=st.permutations([7, 8, 9, 10]))
def test_texts_that_look_like_marks_are_packed_as_ever(
    layouts: list[str], senders: list[int]
) -> None:
    packing = Packing()
    for layout, sender in zip(layouts, senders, strict=False):
        sent = message(weights(layout=layout), sender, 0, 3)
        assert packing(sent).joined().tobytes() == encode(sent).tobytes()
