from __future__ import annotations

import math
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from protocols import messages
from protocols.errors import RejectedMessage, WireError
from protocols.messages import PAYLOADS, Message, Payload
from protocols.seeding import generator
from protocols.wire.buffers import Packet
from protocols.wire.serialize import decode, encode, packet_of, read_envelope
from protocols.wire.validate import Expectation, admit

TASK: dict[str, Any] = {"task": "triage", "ids": np.array([4, 0, 9])}
WORK: dict[str, Any] = {**TASK, "attempt": 1}
COST: dict[str, Any] = {"origins": ("0123456789abcdef",), "flops": 1e9, "seconds": 0.5}
NO_MARKS = np.zeros(3, np.uint8)
EXAMPLES: dict[str, Payload] = {
    "embeddings": messages.Embeddings(values=np.ones((2, 3, 4), np.float32)),
    "similarity_targets": messages.SimilarityTargets(
        values=np.ones((3, 3), np.float32), weight=2.0
    ),
    "prototypes": messages.Prototypes(
        values=np.ones((2, 4), np.float32), counts=np.ones(2, np.float32)
    ),
    "statistics": messages.Statistics(
        means=np.ones((2, 4), np.float32),
        squares=np.ones((2, 4), np.float32),
        products=np.ones((4, 4), np.float32),
        weight=8.0,
    ),
    "private_embeddings": messages.PrivateEmbeddings(
        values=np.ones((2, 3, 4), np.float32), batch=7
    ),
    "embedding_gradients": messages.EmbeddingGradients(
        values=np.ones((2, 3, 4), np.float32), batch=7
    ),
    "pseudo_labels": messages.PseudoLabels(
        probabilities=np.full((3, 2), 0.5, np.float32), weight=1.5
    ),
    "label_votes": messages.LabelVotes(probabilities=np.full((2, 3, 2), 0.5, np.float32)),
    "logits": messages.Logits(values=np.ones((3, 2), np.float32), weight=1.5),
    "rankings": messages.Rankings(
        scores=np.ones((2, 3, 2), np.float32),
        ids=np.array([[[1, 2], [2, 0], [0, 1]]] * 2, np.int32),
        agreement=np.ones((2, 3), np.float32),
    ),
    "weights": messages.Weights(values=np.ones(9, np.float32), weight=3.0, layout="tiny"),
    "weight_deltas": messages.WeightDeltas(
        values=np.ones(9, np.float32), weight=3.0, layout="tiny"
    ),
    "components": messages.Components(
        values=np.ones((2, 5), np.float32),
        places=np.array([[0, 4, 1, 2, 3], [1, 3, 0, 2, 3]], np.uint16),
        layout="tiny:1x6x2:1x4x3",
    ),
    "metrics": messages.Metrics(values={"loss": 0.25, "accuracy": 0.5}),
    "control": messages.Control(command="stop", arguments={"at": 3, "now": True, "why": "done"}),
    "announcement": messages.Announcement(
        task="triage", classes=2, queries=3, tokens=90, floor=0.5
    ),
    "bid": messages.Bid(task="triage", **COST, accuracy=0.75, examples=64, ready_s=0),
    "assignment": messages.Assignment(**WORK, start_s=0, deadline_s=8),
    "answer": messages.Answer(
        **WORK,
        **COST,
        probabilities=np.full((3, 2), 0.5, np.float32),
        abstains=NO_MARKS,
        in_sample=NO_MARKS,
    ),
    "ranked_answer": messages.RankedAnswer(
        **WORK, **COST, candidates=np.arange(6).reshape(3, 2), scores=np.ones((3, 2), np.float32)
    ),
    "escalation": messages.Escalation(
        **WORK, embeddings=np.ones((3, 4), np.float32), shares_text=True, texts=("a", "b", "")
    ),
    "verdict": messages.Verdict(
        **TASK,
        origins=COST["origins"],
        classes=2,
        decided=np.array([0, 1, 1], np.int32),
        confidences=np.full(3, 0.5, np.float32),
    ),
    "claims": messages.Claims(
        frame="0" * 32,
        episode=2,
        labels=("a", "b"),
        kinds=np.array([0, 1, 2], np.uint8),
        embeddings=np.ones((3, 4), np.float32),
        counts=np.ones((3, 2), np.float32),
        origin_counts=np.ones(3, np.int32),
        origins=np.arange(48, dtype=np.uint8).reshape(3, 16),
    ),
    "next_tokens": messages.NextTokens(
        **WORK,
        **COST,
        vocabulary="0" * 32,
        size=9,
        step=2,
        tokens=np.arange(6, dtype=np.int32).reshape(3, 2),
        probabilities=np.full((3, 2), 0.25, np.float32),
    ),
    "masked_sum": messages.MaskedSum(
        values=np.arange(9, dtype=np.uint64), weight=3.0, layout="tiny"
    ),
    "keys": messages.Keys(ids=np.array([1, 4], np.int32), values=np.ones((2, 32), np.uint8)),
}


def example(kind: str) -> Message:
    return Message.compose(EXAMPLES[kind], sender=0, round=3, hop=1)


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


def test_bytes_of_a_message_are_these() -> None:
    payload = messages.Weights(values=np.array([1.0, -2.0], np.float32), weight=2, layout="a")
    buffer = encode(Message.compose(payload, sender=0, round=2, hop=3)).tobytes()
    body = b"\x94\x95\x00\x02\x03\xa7weights\x92\xa8detached\x00"
    body += b"\x82\xa6layout\xa1a\xa6weight\xcb" + bytes.fromhex("4000000000000000")
    body += b"\xc0\x91\x93\xa6values\xa3F32\x91\x02"
    preamble = b"AGOS\x01\x00\x00\x00" + bytes([len(body), 0, 0, 0])
    header = preamble + zlib.crc32(body).to_bytes(4, "little") + body
    assert buffer == header.ljust(128, b"\0") + bytes.fromhex("0000803f000000c0")


def test_bytes_do_not_depend_on_the_order_of_a_dict() -> None:
    first, second = (
        messages.Metrics(values={"a": 1.0, "b": 2.0}),
        messages.Metrics(values={"b": 2.0, "a": 1.0}),
    )
    encoded = [
        encode(Message.compose(payload, sender=0, round=0, hop=0)).tobytes()
        for payload in (first, second)
    ]
    assert encoded[0] == encoded[1]


def test_decode_allocates_no_more_than_the_header() -> None:
    payload = messages.Embeddings(values=np.ones((2, 512, 256), np.float32))
    message = Message.compose(payload, sender=0, round=0, hop=0)
    buffer = encode(message)
    expectation = Expectation(0, 0, frozenset({0}), messages.Embeddings)
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


HEADERS: dict[str, dict[str, Any]] = {
    "unknown kind": {"envelope": {3: "gossip"}},
    "another kind": {"envelope": {3: "embeddings"}},
    "infinite weight": {"scalars": {"layout": "tiny", "weight": math.inf}},
    "nan weight": {"scalars": {"layout": "tiny", "weight": math.nan}},
    "no weight": {"scalars": {"layout": "tiny", "weight": 0.0}},
    "weight as text": {"scalars": {"layout": "tiny", "weight": "3.0"}},
    "weight as integer": {"scalars": {"layout": "tiny", "weight": 3}},
    "weight as bool": {"scalars": {"layout": "tiny", "weight": True}},
    "weight missing": {"scalars": {"layout": "tiny"}},
    "scalar unknown": {"scalars": {"layout": "tiny", "surprise": 1, "weight": 3.0}},
    "array among the scalars": {"scalars": {"layout": "tiny", "values": [1.0], "weight": 3.0}},
    "no arrays": {"arrays": {}},
    "array misnamed": {"arrays": {"value": np.ones(9, np.float32)}},
    "array more": {"arrays": {"values": np.ones(9, np.float32), "weight": np.float32(3)}},
    "dtype": {"arrays": {"values": np.ones(9, np.float16)}},
    "rank": {"arrays": {"values": np.ones((3, 3), np.float32)}},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
def test_decode_refuses_a_header(reforge: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        decode(reforge(encode(example("weights")), **changes))
    assert caught.value.expected
    assert caught.value.hint
    assert len(str(caught.value)) < 700


def test_unchanged_forgery_is_the_message(reforge: Any) -> None:
    buffer = encode(example("weights"))
    assert reforge(buffer) == buffer.tobytes()
    assert reforge(buffer, arrays={"values": np.ones(9, np.float32)}) == buffer.tobytes()


def test_encode_refuses_scalars_beyond_a_header() -> None:
    control = messages.Control(command="x" * (1 << 20))
    with pytest.raises(WireError, match="header is too long"):
        encode(Message.compose(control, sender=0, round=0, hop=0))


@pytest.mark.parametrize("read", [decode, read_envelope])
def test_another_version_is_rejected_before_anything_else_is_read(forge: Any, read: Any) -> None:
    with pytest.raises(RejectedMessage) as caught:
        read(forge(b"?", version=2))
    error = caught.value
    assert (error.reason, error.expected, error.actual) == ("version", "1", "2")


def mutations(buffer: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    start = 16 + int.from_bytes(buffer[8:12], "little")
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
    expectation = Expectation(3, 1, frozenset({0}), PAYLOADS[kind])
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
