"""Coded messages on the wire: what they hold, what they cost, and what is refused."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from protocols.codecs import CODECS, Codec
from protocols.codecs.fp32 import Fp32
from protocols.codecs.int8 import Int8
from protocols.codecs.pca import Pca
from protocols.codecs.top_k import TopK
from protocols.errors import RejectedMessage, WireError
from protocols.messages import (
    Components,
    Embeddings,
    Message,
    Metrics,
    Payload,
    Prototypes,
    PseudoLabels,
    SimilarityTargets,
    WeightDeltas,
    Weights,
)
from protocols.messages.arrays import Array
from protocols.seeding import generator
from protocols.wire.serialize import decode, encode
from protocols.wire.sizes import message_bytes, uncoded_bytes
from protocols.wire.validate import Expectation, admit


def normal(*shape: int) -> Any:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def labels(*shape: int) -> Any:
    values = np.exp(3 * normal(*shape))
    return values / values.sum(axis=1, keepdims=True)


PAYLOADS: dict[str, Payload] = {
    "embeddings": Embeddings(values=normal(2, 30, 24)),
    "similarity_targets": SimilarityTargets(values=labels(40, 40), weight=1.0),
    "prototypes": Prototypes(values=normal(12, 24), counts=np.ones(12, np.float32)),
    "pseudo_labels": PseudoLabels(probabilities=labels(40, 16), weight=3.0),
    "weights": Weights(values=normal(2500), weight=2.0, layout="tiny"),
    "weight_deltas": WeightDeltas(values=normal(2500), weight=2.0, layout="tiny"),
    "components": Components(
        values=normal(3, 80),
        places=np.tile(np.arange(4, dtype=np.uint16), (3, 20)),
        layout="tiny:20x9x4",
    ),
}
CODED = {kind: codec() for kind, codec in CODECS.items() if kind != "fp32"}


def message(payload: Payload) -> Message:
    return Message.compose(payload, sender=0, round=3, hop=1)


def expecting(payload: Payload, codec: Codec | None = None) -> Expectation:
    shapes = {name: getattr(payload, name).shape for name in payload.array_fields}
    return Expectation(3, 1, frozenset({0}), type(payload), shapes, codec=codec)


def field(payload: Payload) -> str:
    (name,) = payload.coded_fields
    return name


@pytest.mark.parametrize("codec", CODED.values(), ids=CODED)
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_receiver_gets_what_the_roundtrip_foretells(payload: Payload, codec: Codec) -> None:
    buffer = encode(message(payload), codec)
    received = admit(buffer, expecting(payload, codec)).payload
    assert received == decode(buffer).payload == admit(buffer, expecting(payload)).payload
    name = field(payload)
    foretold = codec.roundtrip(getattr(payload, name))
    foretold = type(payload).after_decoding(name, foretold.copy())
    np.testing.assert_array_equal(getattr(received, name), foretold)
    for other in {*payload.array_fields, *payload.scalar_fields} - {name}:
        np.testing.assert_array_equal(getattr(received, other), getattr(payload, other))


@pytest.mark.parametrize("codec", [Fp32(), *CODED.values()], ids=CODECS)
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_bytes_are_counted_exactly_before_there_is_a_message(
    payload: Payload, codec: Codec
) -> None:
    sent = message(payload)
    shapes = {name: getattr(payload, name).shape for name in payload.array_fields}
    scalars = {name: getattr(payload, name) for name in payload.scalar_fields}
    counted = message_bytes(sent.envelope, type(payload), shapes, scalars, codec)
    assert counted == encode(sent, codec).nbytes
    assert uncoded_bytes(sent) == encode(sent).nbytes


@pytest.mark.parametrize("codec", CODED.values(), ids=CODED)
def test_pseudo_labels_are_distributions_after_decoding(codec: Codec) -> None:
    received = decode(encode(message(PAYLOADS["pseudo_labels"]), codec)).payload
    received.check_values()
    assert isinstance(received, PseudoLabels)
    np.testing.assert_allclose(received.probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_pseudo_labels_of_nothing_are_still_rejected() -> None:
    nothing = PseudoLabels(probabilities=np.zeros((3, 4), np.float32), weight=1.0)
    with pytest.raises(RejectedMessage) as caught:
        admit(encode(message(nothing), Int8()), expecting(nothing))
    assert caught.value.reason == "not_probabilities"


def test_payload_that_codes_nothing_is_sent_as_it_is() -> None:
    metrics = Metrics(values={"loss": 0.5})
    assert encode(message(metrics), Int8()).tobytes() == encode(message(metrics)).tobytes()
    assert admit(encode(message(metrics)), expecting(metrics, Int8())).payload == metrics


def test_uncoded_arrays_beside_coded_ones_are_not_copied() -> None:
    buffer = encode(message(PAYLOADS["prototypes"]), Int8())
    received = decode(buffer).payload
    assert isinstance(received, Prototypes)
    assert np.shares_memory(received.counts, buffer)


def test_codec_other_than_agreed_is_rejected() -> None:
    payload = PAYLOADS["embeddings"]
    for sent, agreed in ((Int8(), Fp32()), (Fp32(), Int8()), (Pca(dimensions=3), Pca())):
        with pytest.raises(RejectedMessage) as caught:
            admit(encode(message(payload), sent), expecting(payload, agreed))
        assert caught.value.reason == "codec"
        assert caught.value.sender == 0


@pytest.mark.parametrize("codec", CODED.values(), ids=CODED)
def test_numbers_that_are_not_finite_are_rejected_however_coded(codec: Codec) -> None:
    values = normal(2, 30, 24)
    values[1, 7, 5] = np.inf
    bad = Embeddings(values=values)
    with pytest.raises(RejectedMessage) as caught:
        admit(encode(message(bad), codec), expecting(bad))
    assert caught.value.reason == "not_finite"


Claim = Callable[[Any], bytes]


def claimed(by: Codec, shape: list[Any], parts: dict[str, Any], **changes: Any) -> Claim:
    """Return what forges a message of embeddings that claims a shape and a codec."""
    codec = changes.get("codec", by.model_dump())
    shapes = changes.get("shapes", {"values": shape})
    arrays = {f"values.{name}": part for name, part in parts.items()}

    def forged(reforge: Any) -> bytes:
        buffer = encode(message(PAYLOADS["embeddings"]))
        coding = [codec, shapes, *changes.get("more", ())]
        forgery: bytes = reforge(buffer, coding=coding, arrays=arrays)
        return forgery

    return forged


TERABYTE = [1, 2**19, 2**19]
SMALL = Int8().encode(normal(2, 3, 4))
BAD: dict[str, Claim] = {
    "terabyte": claimed(Int8(), TERABYTE, SMALL),
    "terabyte of little": claimed(
        Pca(dimensions=1), TERABYTE, Pca(dimensions=1).encode(normal(2, 3, 4))
    ),
    "shape of other parts": claimed(Int8(), [2, 3, 5], SMALL),
    "dtype": claimed(Int8(), [2, 3, 4], {**SMALL, "codes": np.zeros((6, 4), np.int8)}),
    "part missing": claimed(Int8(), [2, 3, 4], {"codes": SMALL["codes"]}),
    "part too many": claimed(Int8(), [2, 3, 4], {**SMALL, "more": np.ones(1)}),
    "no codec": claimed(Int8(), [2, 3, 4], SMALL, codec={}),
    "unknown codec": claimed(Int8(), [2, 3, 4], SMALL, codec={"kind": "zip"}),
    "short form": claimed(Int8(), [2, 3, 4], SMALL, codec="int8"),
    "share too small": claimed(
        TopK(), [2, 3, 4], SMALL, codec={"kind": "top_k", "share": 1e-9, "per": "row"}
    ),
    "identity named": claimed(Fp32(), [2, 3, 4], {"values": normal(2, 3, 4)}),
    "no shapes": claimed(Int8(), [2, 3, 4], SMALL, shapes={}),
    "another field": claimed(Int8(), [2, 3, 4], SMALL, shapes={"value": [2, 3, 4]}),
    "empty": claimed(Int8(), [2, 3, 0], SMALL),
    "size as float": claimed(Int8(), [2, 3, 4.0], SMALL),
    "size as bool": claimed(Int8(), [2, True, 12], SMALL),
    "no axes": claimed(Int8(), [], SMALL),
    "too many axes": claimed(Int8(), [1] * 6 + [2, 3, 4], SMALL),
    "wrong rank": claimed(Int8(), [6, 4], SMALL),
    "more in the claim": claimed(Int8(), [2, 3, 4], SMALL, more=[1]),
    "places": claimed(
        TopK(share=0.5),
        [1, 1, 4],
        {"places": np.array([[0, 9]], np.uint16), "kept": np.ones((1, 2), np.float32)},
    ),
}


@pytest.mark.parametrize("claim", BAD.values(), ids=BAD)
def test_false_claim_is_malformed_and_allocates_nothing(reforge: Any, claim: Claim) -> None:
    buffer = claim(reforge)
    expectation = Expectation(3, 1, frozenset({0}), Embeddings)
    tracemalloc.start()
    with pytest.raises(RejectedMessage) as caught:
        admit(buffer, expectation)
    with pytest.raises(WireError):
        decode(buffer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason in ("malformed", "shape")
    assert peak < 1_000_000
    assert len(str(caught.value)) < 1000


def test_claimed_shape_is_judged_before_it_is_decoded(reforge: Any) -> None:
    payload = PAYLOADS["embeddings"]
    with pytest.raises(RejectedMessage) as caught:
        admit(claimed(Int8(), TERABYTE, SMALL)(reforge), expecting(payload))
    assert caught.value.reason == "shape"
    assert json.dumps(TERABYTE)[1:-1] in str(caught.value.actual)


@pytest.mark.parametrize("codec", CODED.values(), ids=CODED)
def test_damaged_coded_message_raises_nothing_but_protocol_errors(codec: Codec) -> None:
    buffer = encode(message(PAYLOADS["embeddings"]), codec).tobytes()
    expectation = expecting(PAYLOADS["embeddings"])
    rng = generator(0, "fuzz", codec.kind)
    admitted = 0
    for _ in range(200):
        damaged = bytearray(buffer)
        for position in rng.integers(0, len(buffer), 3):
            damaged[position] = rng.integers(256)
        try:
            admit(bytes(damaged), expectation)
            admitted += 1
        except RejectedMessage:
            pass
    assert admitted < 200


class Rounded(Codec):
    """A user's own codec: whole numbers."""

    kind: Literal["rounded"] = "rounded"

    def parts(self, shape: Any) -> Any:
        from protocols.codecs.base import Part

        return {"whole": Part(np.dtype("<i2"), shape)}

    def encode(self, values: Any) -> Any:
        return {"whole": np.rint(values).astype("<i2")}

    def decode(self, parts: Any, shape: Any) -> Any:
        return parts["whole"].astype(np.float32)


def test_codec_of_ones_own_is_decoded_where_it_is_agreed() -> None:
    payload = PAYLOADS["embeddings"]
    buffer = encode(message(payload), Rounded())
    received = admit(buffer, expecting(payload, Rounded())).payload
    assert received == Embeddings(values=np.rint(normal(2, 30, 24)) + np.float32(0))
    with pytest.raises(WireError):
        decode(buffer)


def test_only_float32_fields_can_be_coded() -> None:
    with pytest.raises(TypeError, match="float32"):
        Array(("float16", "float32"), "N", coded=True)

    class Note(Payload):
        kind: ClassVar[str] = "note"
        text: str

    assert Note.coded_fields == ()
    assert Prototypes.coded_fields == ("values",)
