from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from protocols.errors import RejectedMessage, WireError
from protocols.messages import (
    PAYLOADS,
    Control,
    EmbeddingGradients,
    Embeddings,
    LabelVotes,
    Logits,
    Message,
    Metrics,
    Payload,
    PrivateEmbeddings,
    Prototypes,
    PseudoLabels,
    Rankings,
    SimilarityTargets,
    Statistics,
    WeightDeltas,
    Weights,
)
from protocols.seeding import generator
from protocols.wire.buffers import Packet
from protocols.wire.frame import pack, unpack
from protocols.wire.json_text import to_json
from protocols.wire.serialize import decode, encode, packet_of, read_envelope
from protocols.wire.validate import Expectation, admit

EXAMPLES: dict[str, Payload] = {
    "embeddings": Embeddings(values=np.ones((2, 3, 4), np.float32)),
    "similarity_targets": SimilarityTargets(values=np.ones((3, 3), np.float32), weight=2.0),
    "prototypes": Prototypes(values=np.ones((2, 4), np.float32), counts=np.ones(2, np.float32)),
    "statistics": Statistics(
        means=np.ones((2, 4), np.float32),
        squares=np.ones((2, 4), np.float32),
        products=np.ones((4, 4), np.float32),
        weight=8.0,
    ),
    "private_embeddings": PrivateEmbeddings(values=np.ones((2, 3, 4), np.float32), batch=7),
    "embedding_gradients": EmbeddingGradients(values=np.ones((2, 3, 4), np.float32), batch=7),
    "pseudo_labels": PseudoLabels(probabilities=np.full((3, 2), 0.5, np.float32), weight=1.5),
    "label_votes": LabelVotes(probabilities=np.full((2, 3, 2), 0.5, np.float32)),
    "logits": Logits(values=np.ones((3, 2), np.float32), weight=1.5),
    "rankings": Rankings(
        scores=np.ones((2, 3, 2), np.float32),
        ids=np.array([[[1, 2], [2, 0], [0, 1]]] * 2, np.int32),
        agreement=np.ones((2, 3), np.float32),
    ),
    "weights": Weights(values=np.ones(9, np.float32), weight=3.0, layout="tiny"),
    "weight_deltas": WeightDeltas(values=np.ones(9, np.float32), weight=3.0, layout="tiny"),
    "metrics": Metrics(values={"loss": 0.25, "accuracy": 0.5}),
    "control": Control(command="stop", arguments={"at": 3, "now": True, "why": "done"}),
}


def example(kind: str) -> Message:
    return Message.compose(EXAMPLES[kind], sender=0, recipients=[1, 2], round=3, hop=1)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_decode_copies_no_array_and_forbids_writing(kind: str) -> None:
    buffer = encode(example(kind))
    for name in PAYLOADS[kind].array_fields:
        values = getattr(decode(buffer).payload, name)
        assert np.shares_memory(values, buffer)
        assert not values.flags.writeable


@pytest.mark.parametrize("kind", PAYLOADS)
def test_packet_is_the_buffer_and_copies_no_array_there_and_back(kind: str) -> None:
    message = example(kind)
    packet = packet_of(message)
    assert packet.joined().tobytes() == encode(message).tobytes()
    assert packet.nbytes == encode(message).nbytes
    assert read_envelope(packet) == message.envelope
    read = decode(packet)
    assert read == message
    for name in PAYLOADS[kind].array_fields:
        sent = getattr(message.payload, name)
        assert np.shares_memory(getattr(read.payload, name), sent)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_buffer_is_a_safetensors_file(kind: str) -> None:
    message = example(kind)
    arrays = safetensors.numpy.load(encode(message).tobytes())
    assert arrays.keys() == PAYLOADS[kind].array_fields.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, getattr(message.payload, name))


def test_bytes_of_a_message_are_these() -> None:
    payload = Weights(values=np.array([1.0, -2.0], np.float32), weight=2, layout="a")
    buffer = encode(Message.compose(payload, sender=0, recipients=[1], round=2, hop=3)).tobytes()
    header = (
        r'{"__metadata__":{"envelope":"{\"gradient\":{\"kind\":\"detached\",\"staleness\":0},'
        r'\"hop\":3,\"kind\":\"weights\",\"recipients\":[1],\"round\":2,\"sender\":0}",'
        r'"payload":"{\"layout\":\"a\",\"weight\":2.0}","version":"1"},'
        r'"values":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}}'
    )
    padded = header + " " * (-(len(header) + 8) % 64)
    expected = len(padded).to_bytes(8, "little") + padded.encode()
    assert buffer == expected + bytes.fromhex("0000803f000000c0")


def test_bytes_do_not_depend_on_the_order_of_a_dict() -> None:
    first, second = Metrics(values={"a": 1.0, "b": 2.0}), Metrics(values={"b": 2.0, "a": 1.0})
    encoded = [
        encode(Message.compose(payload, sender=0, recipients=[1], round=0, hop=0)).tobytes()
        for payload in (first, second)
    ]
    assert encoded[0] == encoded[1]


def test_decode_allocates_no_more_than_the_header() -> None:
    payload = Embeddings(values=np.ones((2, 512, 256), np.float32))
    message = Message.compose(payload, sender=0, recipients=[1], round=0, hop=0)
    buffer = encode(message)
    expectation = Expectation(0, 0, 1, frozenset({0}), Embeddings)
    tracemalloc.start()
    decode(buffer)
    peak_decode = tracemalloc.get_traced_memory()[1]
    admit(buffer, expectation)
    peak_admit = tracemalloc.get_traced_memory()[1]
    packet_of(message)
    peak_packet = tracemalloc.get_traced_memory()[1]
    encode(message)
    peak_encode = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert payload.values.nbytes == 1 << 20
    assert peak_decode < 100_000
    assert peak_admit < 100_000
    assert peak_packet < 100_000
    assert peak_encode < (1 << 20) + 100_000


def reframed(kind: str = "weights", **changes: str | None) -> Any:
    """Return the example's buffer with metadata texts replaced, or dropped where None."""
    frame = unpack(encode(example(kind)))
    metadata = {**frame.metadata, **changes}
    return pack({k: v for k, v in metadata.items() if v is not None}, frame.arrays())


ENVELOPE: dict[str, Any] = json.loads(unpack(encode(example("weights"))).metadata["envelope"])
SCALARS: dict[str, Any] = {"layout": "tiny", "weight": 3.0}
TEXTS_REFUSED: dict[str, dict[str, str | None]] = {
    "no version": {"version": None},
    "no envelope": {"envelope": None},
    "no payload": {"payload": None},
    "more metadata": {"surprise": "1"},
    "version not a number": {"version": "one"},
    "version of digits elsewhere": {"version": "١"},
    "version padded": {"version": " 1"},
    "envelope not JSON": {"envelope": "{"},
    "envelope a list": {"envelope": "[]"},
    "envelope nested": {"envelope": "[" * 100_000},
    "envelope names a version": {"envelope": to_json({**ENVELOPE, "version": 1})},
    "envelope with more": {"envelope": to_json({**ENVELOPE, "surprise": 1})},
    "envelope without gradient": {
        "envelope": to_json({k: v for k, v in ENVELOPE.items() if k != "gradient"})
    },
    "unknown kind": {"envelope": to_json({**ENVELOPE, "kind": "gossip"})},
    "another kind": {"envelope": to_json({**ENVELOPE, "kind": "embeddings"})},
    "sender as text": {"envelope": to_json({**ENVELOPE, "sender": "0"})},
    "sender as bool": {"envelope": to_json({**ENVELOPE, "sender": False})},
    "round as float": {"envelope": to_json({**ENVELOPE, "round": 3.0})},
    "round negative": {"envelope": to_json({**ENVELOPE, "round": -1})},
    "round huge": {"envelope": to_json({**ENVELOPE, "round": 10**18})},
    "recipients a number": {"envelope": to_json({**ENVELOPE, "recipients": 1})},
    "recipients unsorted": {"envelope": to_json({**ENVELOPE, "recipients": [2, 1]})},
    "recipients empty": {"envelope": to_json({**ENVELOPE, "recipients": []})},
    "spaces": {"envelope": json.dumps(ENVELOPE, sort_keys=True)},
    "key twice": {"payload": '{"layout":"tiny","weight":1.0,"weight":3.0}'},
    "infinite weight": {"payload": '{"layout":"tiny","weight":1e999}'},
    "nan weight": {"payload": '{"layout":"tiny","weight":NaN}'},
    "weight as text": {"payload": to_json({**SCALARS, "weight": "3.0"})},
    "weight as integer": {"payload": to_json({**SCALARS, "weight": 3})},
    "weight missing": {"payload": to_json({"layout": "tiny"})},
    "scalar unknown": {"payload": to_json({**SCALARS, "surprise": 1})},
    "array among the scalars": {"payload": to_json({**SCALARS, "values": [1.0]})},
    "lone surrogate": {"payload": '{"layout":"\\ud800","weight":3.0}'},
}


@pytest.mark.parametrize("changes", TEXTS_REFUSED.values(), ids=TEXTS_REFUSED)
def test_decode_refuses_metadata(changes: dict[str, str | None]) -> None:
    with pytest.raises(WireError) as caught:
        decode(reframed(**changes))
    assert caught.value.expected
    assert caught.value.hint
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"value": np.ones(9, np.float32)},
        {"values": np.ones(9, np.float32), "weight": np.float32(3)},
        {"values": np.ones(9, np.float16)},
        {"values": np.ones((3, 3), np.float32)},
    ],
    ids=["none", "misnamed", "one more", "dtype", "rank"],
)
def test_decode_refuses_arrays_that_the_payload_lacks(arrays: dict[str, Any]) -> None:
    metadata = unpack(encode(example("weights"))).metadata
    with pytest.raises(WireError):
        decode(pack(metadata, {name: np.asarray(values) for name, values in arrays.items()}))


def test_encode_refuses_scalars_beyond_a_header() -> None:
    control = Control(command="x" * (1 << 20))
    with pytest.raises(WireError, match="header is too long"):
        encode(Message.compose(control, sender=0, recipients=[1], round=0, hop=0))


@pytest.mark.parametrize("read", [decode, read_envelope])
def test_another_version_is_rejected_before_anything_else_is_read(read: Any) -> None:
    buffer = reframed(version="2", envelope="?", payload=None, more="x")
    with pytest.raises(RejectedMessage) as caught:
        read(buffer)
    assert (caught.value.reason, caught.value.expected, caught.value.actual) == (
        "version",
        "1",
        "2",
    )


def mutations(buffer: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    start = 8 + int.from_bytes(buffer[:8], "little")
    for _ in range(count):
        changed = bytearray(buffer)
        for position in rng.integers(0, start, rng.integers(1, 4)):
            changed[position] = rng.integers(256)
        yield bytes(changed)
        yield buffer[: rng.integers(len(buffer))]
        cut, length = rng.integers(len(buffer)), rng.integers(1, 40)
        yield buffer[:cut] + buffer[cut + length :]
        yield buffer[:cut] + rng.bytes(length) + buffer[cut:]


@pytest.mark.parametrize("kind", PAYLOADS)
def test_damaged_buffer_raises_nothing_but_protocol_errors(kind: str) -> None:
    buffer = encode(example(kind)).tobytes()
    expectation = Expectation(3, 1, 1, frozenset({0}), PAYLOADS[kind])
    refused, reasons = 0, set()
    for damaged in mutations(buffer, 100, generator(0, "fuzz", kind)):
        try:
            decode(damaged)
        except (WireError, RejectedMessage):
            refused += 1
        data = np.frombuffer(damaged, np.uint8)
        cut = len(data) // 2
        for message in (damaged, Packet((data[:cut], data[cut:]))):
            try:
                admit(message, expectation)
            except RejectedMessage as error:
                reasons.add(error.reason)
    assert refused > 300
    assert "malformed" in reasons
