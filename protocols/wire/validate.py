"""The checks that a message passes before an agent acts on it, against the receiver's expectation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from protocols.codecs import Codec
from protocols.errors import ConfigurationError, RejectedMessage, WireError
from protocols.messages import Envelope, Message, Payload
from protocols.wire.buffers import Packet
from protocols.wire.coding import Coding
from protocols.wire.frame import Buffer, tile, unframe
from protocols.wire.header import Described, Shape
from protocols.wire.serialize import payload_of

_FLOAT32 = np.dtype("<f4")
_SAME_PLAN = "let sender and receiver follow one topology and one hop plan"
_SAME_SETTINGS = "give sender and receiver the same exchange settings and the same anchors"
_SAME_TASK = "answer what was assigned, and nothing that was given to another agent since"

_EQUAL = {
    "layout": "average only encoders of one kind",
    "task": _SAME_TASK,
    "attempt": _SAME_TASK,
}
"""Fields of payloads that an expectation may ask to have one value, and the hint where they have another."""


@dataclass(frozen=True)
class Expectation:
    """A description of the message that a receiver is waiting for.

    It holds nothing about the receiver itself: routing decides which agents a message goes to.

    Args:
        round: the round in progress.
        hop: the step of the topology's plan within the round.
        senders: the neighbours that send to the receiver in this hop.
        payload: the class of payload.
        shapes: per array field, the required sizes; None accepts any size.
        layout: the required parameter layout of weights; None accepts any layout.
        codec: required codec of the arrays that may be coded; None accepts any codec of the table.
        rounds: the earliest and the latest round that is accepted, if agents do not wait for each other;
            None for `round` only.
        task: the required task of a message about one; None accepts any task.
        attempt: the required number of the assignment; None accepts any.
        queries: the ids that a message may be about; None accepts any ids.

    Raises:
        ConfigurationError: the expectation names a field that the payload lacks.
    """

    round: int
    hop: int
    senders: frozenset[int]
    payload: type[Payload]
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    layout: str | None = None
    codec: Codec | None = None
    rounds: tuple[int, int] | None = None
    task: str | None = None
    attempt: int | None = None
    queries: frozenset[int] | None = None

    def __post_init__(self) -> None:
        checked = set(self.shapes) - set(self.payload.array_fields)
        named = {name for name in _EQUAL if getattr(self, name) is not None}
        checked |= named - set(self.payload.scalar_fields)
        if self.queries is not None:
            checked |= {"ids"} - set(self.payload.array_fields)
        if checked:
            raise ConfigurationError(
                f"the expectation names fields that {self.payload.kind} payloads lack",
                expected=[*self.payload.array_fields, *self.payload.scalar_fields],
                actual=sorted(checked),
                hint="drop them from the expectation",
            )

    def asks_as(self, other: Expectation) -> bool:
        """Return whether this expects the same of a message as another does, ignoring senders."""
        return other is self or (
            self.hop == other.hop
            and (self.rounds or self.round) == (other.rounds or other.round)
            and self.payload is other.payload
            and self.layout == other.layout
            and (self.task, self.attempt) == (other.task, other.attempt)
            and self.queries == other.queries
            and self.shapes == other.shapes
            and (self.codec is other.codec or self.codec == other.codec)
        )


def admit(message: Buffer | Packet, expectation: Expectation) -> Message:
    """Return the message in a buffer if it is the message that the receiver expects.

    Raises:
        RejectedMessage: it is not. The reason is one of ``malformed``, ``version``, ``neighbour``,
            ``round``, ``hop``, ``kind``, ``codec``, ``dtype``, ``shape``, ``layout``, ``not_finite``,
            ``not_probabilities``, ``not_rankings``, ``not_counts``, ``not_moments``,
            ``not_components``, ``task``, ``attempt``, ``query``, ``not_ids``, ``not_origins``, ``not_marks``,
            ``not_candidates``, ``not_classes``.
    """
    admitted = reread(message, expectation)
    admitted.payload.check_values(admitted.envelope.sender)
    if expectation.queries is not None:
        _check_queries(admitted, expectation.queries)
    return admitted


def reread(message: Buffer | Packet, expectation: Expectation) -> Message:
    """Return a message already admitted, without re-checking its values, which would need a full scan.

    Raises:
        RejectedMessage: see `admit`.
    """
    sender: int | None = None
    try:
        header, data = unframe(message)
        envelope = header.envelope
        sender = envelope.sender
        check_envelope(envelope, expectation)
        coding = Coding.read(header, expectation.payload, expectation.codec)
        _check_codec(coding, expectation, sender)
        arrays = tile(header.arrays, data)
        _check_shapes(_described(arrays, coding), expectation, sender)
        if coding.shapes:
            arrays = coding.decode(arrays)
        payload = payload_of(header, arrays, expectation.payload, coding.shapes)
    except WireError as error:
        raise RejectedMessage(
            f"malformed message: {error.message}",
            reason="malformed",
            sender=sender,
            expected=error.expected,
            actual=error.actual,
            hint=error.hint,
        ) from error
    for name, hint in _EQUAL.items():
        wanted, given = getattr(expectation, name), getattr(payload, name, None)
        if wanted is not None and wanted != given:
            _reject(name, sender, wanted, given, hint)
    return Message(envelope, payload)


def check_envelope(envelope: Envelope, expectation: Expectation) -> None:
    """Check sender, round, hop and kind of a message.

    Raises:
        RejectedMessage: it is not the message that the receiver expects; see `admit` for the reasons.
    """
    sender, senders, kind = envelope.sender, expectation.senders, expectation.payload.kind
    if sender not in senders:
        _reject("neighbour", sender, sorted(senders), sender, _SAME_PLAN)
    earliest, latest = expectation.rounds or (expectation.round, expectation.round)
    if not earliest <= envelope.round <= latest:
        expected = f"{earliest} to {latest}" if expectation.rounds else expectation.round
        _reject("round", sender, expected, envelope.round, _SAME_PLAN)
    if envelope.hop != expectation.hop:
        _reject("hop", sender, expectation.hop, envelope.hop, _SAME_PLAN)
    if envelope.kind != kind:
        _reject("kind", sender, kind, envelope.kind[:40], _SAME_SETTINGS)


def _check_queries(message: Message, queries: frozenset[int]) -> None:
    strangers = sorted(set(message.payload.ids.tolist()) - queries)  # type: ignore[attr-defined]
    if strangers:
        expected = f"some of {len(queries)} queries"
        _reject("query", message.envelope.sender, expected, strangers[:8], _SAME_TASK)


def _check_codec(coding: Coding, expectation: Expectation, sender: int) -> None:
    codec = expectation.codec
    if codec is not None and expectation.payload.coded_fields and coding.codec != codec:
        _reject("codec", sender, repr(codec), repr(coding.codec), _SAME_SETTINGS)


def _described(arrays: Mapping[str, NDArray[Any]], coding: Coding) -> dict[str, Described]:
    """Return dtypes and shapes of the payload's arrays, as sent or as claimed, before any is decoded."""
    sent = {name: (values.dtype, values.shape) for name, values in arrays.items()}
    return {**sent, **{name: (_FLOAT32, shape) for name, shape in coding.shapes.items()}}


def _check_shapes(
    described: Mapping[str, Described], expectation: Expectation, sender: int
) -> None:
    sizes: dict[str, int] = {}
    for name, array in expectation.payload.array_fields.items():
        if name not in described:
            continue  # building the payload reports it
        dtype, shape = described[name]
        if not array.accepts(dtype):
            _reject("dtype", sender, f"{name} {array}", dtype, _SAME_SETTINGS)
        wanted = expectation.shapes.get(name)
        if not _fits(shape, wanted) or not array.bind(shape, sizes):
            _reject("shape", sender, f"{name} {array} {wanted or 'any'}", shape, _SAME_SETTINGS)


def _fits(shape: Shape, wanted: tuple[int | None, ...] | None) -> bool:
    if wanted is None or wanted == shape:
        return True
    return len(wanted) == len(shape) and all(
        size in (None, given) for size, given in zip(wanted, shape, strict=True)
    )


def _reject(
    reason: str, sender: int | None, expected: object, actual: object, hint: str
) -> NoReturn:
    raise RejectedMessage(
        f"rejected a message for its {reason}",
        reason=reason,
        sender=sender,
        expected=expected,
        actual=actual,
        hint=hint,
    )
