"""Message <-> one buffer, and the checks that a received buffer passes before anyone acts on it.

The arrays of the payload are the arrays of a safetensors file (see `protocols.framing`). Its
metadata hold three JSON texts: ``version``, ``envelope`` and ``payload`` (the payload's scalar
fields). Each text must be exactly the one that `encode` writes for the values it holds: so no field
can be missing, repeated, or of another type that merely converts. Where a codec was at work, a fourth
text says how (see `protocols.coding`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from protocols.codecs import Codec
from protocols.coding import CODEC, FP32, Coding
from protocols.errors import ConfigurationError, RejectedMessage, WireError
from protocols.framing import Buffer, Described, Frame, lay_out, to_json, unpack
from protocols.messages import PAYLOADS, PROTOCOL_VERSION, Envelope, Message, Payload
from protocols.packet import Bytes, Packet

FLOAT32 = np.dtype("<f4")
_METADATA = {"version", "envelope", "payload"}
_MEND_SENDER = "let the sender build its message with Message.compose and wire.encode"
_MEND_EXPECTATION = "let sender and receiver follow one topology and one hop plan"
_MEND_FORM = "give sender and receiver the same exchange settings and the same anchors"


@dataclass(frozen=True)
class Expectation:
    """What a receiver is waiting for.

    Args:
        round: the round under way.
        hop: the step of the topology's plan within the round.
        recipient: the receiver's own id.
        senders: the neighbours that it listens to in this hop.
        payload: the class of payload.
        shapes: per array field, the sizes it must have; None where any size will do.
        layout: the parameter layout that weights must have; None where any will do.
        codec: what arrays that may be coded must be coded with; None where any of the table will do.
        rounds: the earliest and the latest round that is accepted, where agents do not wait for each other;
            None for `round` alone.

    Raises:
        ConfigurationError: `shapes` or `layout` names a field that the payload lacks.
    """

    round: int
    hop: int
    recipient: int
    senders: frozenset[int]
    payload: type[Payload]
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    layout: str | None = None
    codec: Codec | None = None
    rounds: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        checked = set(self.shapes) - set(self.payload.array_fields)
        if self.layout is not None and "layout" not in self.payload.scalar_fields:
            checked.add("layout")
        if checked:
            raise ConfigurationError(
                f"the expectation names fields that {self.payload.kind} payloads lack",
                expected=[*self.payload.array_fields, *self.payload.scalar_fields],
                actual=sorted(checked),
                mend="drop them from the expectation",
            )

    def asks_as(self, other: Expectation) -> bool:
        """Whether this asks the same of a message as another does, but for who sends and who receives it."""
        return other is self or (
            self.hop == other.hop
            and (self.rounds or self.round) == (other.rounds or other.round)
            and self.payload is other.payload
            and self.layout == other.layout
            and self.shapes == other.shapes
            and (self.codec is other.codec or self.codec == other.codec)
        )


def encode(message: Message, codec: Codec = FP32) -> Bytes:
    """Return the message as one read-only buffer `[bytes]`; equal messages give equal bytes.

    Args:
        message: what is said.
        codec: what the fields are sent in that the payload allows to be coded.

    Raises:
        WireError: the scalar fields do not fit in a header, a dtype cannot be sent, or an array is too large
            for its coded form.

    Example:
        >>> from protocols.messages import Metrics
        >>> metrics = Metrics(values={"loss": 0.5})
        >>> message = Message.compose(metrics, sender=0, recipients=[1], round=0, hop=0)
        >>> decode(encode(message)) == message
        True
    """
    return packet_of(message, codec).joined()


def packet_of(message: Message, codec: Codec = FP32) -> Packet:
    """Return what `encode` would, with the arrays that are not coded where they lie: nothing is copied.

    Raises:
        WireError: see `encode`.
    """
    payload = message.payload
    arrays = {name: getattr(payload, name) for name in payload.array_fields}
    shapes = {name: values.shape for name, values in arrays.items()}
    coding = Coding.of(codec, type(payload), shapes)
    scalars = {name: getattr(payload, name) for name in payload.scalar_fields}
    return lay_out(metadata_of(message.envelope, scalars, coding), coding.encode(arrays))


def metadata_of(envelope: Envelope, scalars: Mapping[str, Any], coding: Coding) -> dict[str, str]:
    """Return the texts in the header of a message."""
    return {
        "version": str(envelope.version),
        "envelope": _envelope_text(envelope),
        "payload": to_json(scalars),
        **coding.metadata,
    }


def decode(buffer: Buffer | Packet) -> Message:
    """Return the message in a buffer; arrays that are not coded are read-only views of that buffer.

    The buffer must not be written to afterwards. A coded array may take up to 4,096 times its bytes in the
    buffer; `admit` refuses unexpected shapes before.

    Raises:
        WireError: the buffer is not a well-formed message.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    frame = unpack(buffer)
    envelope = _envelope(frame)
    payload_type = PAYLOADS.get(envelope.kind)
    if payload_type is None:
        raise _wire_error("unknown kind of payload", sorted(PAYLOADS), repr(envelope.kind[:40]))
    coding = Coding.read(frame, payload_type, expected=None)
    arrays = coding.decode(frame.arrays())
    return Message(envelope=envelope, payload=_payload(frame, coding, arrays, payload_type))


def read_envelope(buffer: Buffer | Packet) -> Envelope:
    """Return the envelope alone; the payload is not looked at.

    Raises:
        WireError: the buffer has no well-formed header.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    return _envelope(unpack(buffer))


def admit(buffer: Buffer | Packet, expectation: Expectation) -> Message:
    """Return the message in a buffer if it is the one that the receiver is waiting for.

    Raises:
        RejectedMessage: it is not. The reason is one of ``malformed``, ``version``, ``recipient``,
            ``neighbour``, ``round``, ``hop``, ``kind``, ``codec``, ``dtype``, ``shape``, ``layout``,
            ``not_finite``, ``not_probabilities``, ``not_rankings``, ``not_counts``, ``not_moments``.
    """
    sender: int | None = None
    try:
        frame = unpack(buffer)
        envelope = _envelope(frame)
        sender = envelope.sender
        check_envelope(envelope, expectation)
        coding = Coding.read(frame, expectation.payload, expectation.codec)
        _check_codec(coding, expectation, sender)
        sent = frame.arrays()
        _check_shapes(_described(sent, coding), expectation, sender)
        payload = _payload(frame, coding, coding.decode(sent), expectation.payload)
    except WireError as error:
        raise RejectedMessage(
            f"malformed message: {error.message}",
            reason="malformed",
            sender=sender,
            expected=error.expected,
            actual=error.actual,
            mend=error.mend,
        ) from error
    layout = getattr(payload, "layout", None)
    if expectation.layout not in (None, layout):
        _reject("layout", sender, expectation.layout, layout, "average only encoders of one kind")
    payload.check_values(sender)
    return Message(envelope=envelope, payload=payload)


def check_envelope(envelope: Envelope, expectation: Expectation) -> None:
    """Check who says when what to whom.

    Raises:
        RejectedMessage: it is not the one that the receiver is waiting for; see `admit` for the reasons.
    """
    sender, recipients = envelope.sender, envelope.recipients
    senders, kind = expectation.senders, expectation.payload.kind
    place = bisect_left(recipients, expectation.recipient)  # they are sorted
    if recipients[place : place + 1] != (expectation.recipient,):
        _reject("recipient", sender, expectation.recipient, recipients, _MEND_EXPECTATION)
    if sender not in senders:
        _reject("neighbour", sender, sorted(senders), sender, _MEND_EXPECTATION)
    earliest, latest = expectation.rounds or (expectation.round, expectation.round)
    if not earliest <= envelope.round <= latest:
        expected = f"{earliest} to {latest}" if expectation.rounds else expectation.round
        _reject("round", sender, expected, envelope.round, _MEND_EXPECTATION)
    if envelope.hop != expectation.hop:
        _reject("hop", sender, expectation.hop, envelope.hop, _MEND_EXPECTATION)
    if envelope.kind != kind:
        _reject("kind", sender, kind, envelope.kind[:40], _MEND_FORM)


def _check_codec(coding: Coding, expectation: Expectation, sender: int) -> None:
    codec = expectation.codec
    if codec is not None and expectation.payload.coded_fields and coding.codec != codec:
        _reject("codec", sender, repr(codec), repr(coding.codec), _MEND_FORM)


def _described(arrays: Mapping[str, NDArray[Any]], coding: Coding) -> dict[str, Described]:
    """Return dtypes and shapes of the payload's arrays, as sent or as claimed, before any is decoded."""
    sent = {name: (values.dtype, values.shape) for name, values in arrays.items()}
    return {**sent, **{name: (FLOAT32, shape) for name, shape in coding.shapes.items()}}


def _check_shapes(
    described: Mapping[str, Described], expectation: Expectation, sender: int
) -> None:
    sizes: dict[str, int] = {}
    for name, array in expectation.payload.array_fields.items():
        if name not in described:
            continue  # building the payload says so
        dtype, shape = described[name]
        if not array.accepts(dtype):
            _reject("dtype", sender, f"{name} {array}", dtype, _MEND_FORM)
        wanted = expectation.shapes.get(name, (None,) * len(array.dims))
        fits = len(wanted) == len(shape) and all(
            size in (None, given) for size, given in zip(wanted, shape, strict=True)
        )
        if not fits or not array.bind(shape, sizes):
            _reject("shape", sender, f"{name} {array} {wanted}", shape, _MEND_FORM)


def _reject(
    reason: str, sender: int | None, expected: object, actual: object, mend: str
) -> NoReturn:
    raise RejectedMessage(
        f"rejected a message for its {reason}",
        reason=reason,
        sender=sender,
        expected=expected,
        actual=actual,
        mend=mend,
    )


def _envelope(frame: Frame) -> Envelope:
    """Build the envelope, the version first: another version may differ in all that follows."""
    version = frame.metadata.get("version", "")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise _wire_error("no protocol version", "a number", repr(version[:40]))
    if version != str(PROTOCOL_VERSION):
        mend = "run the same release of AgentOS on every host"
        _reject("version", None, PROTOCOL_VERSION, version, mend)
    if frame.metadata.keys() - {CODEC} != _METADATA:
        actual = [key[:40] for key in sorted(frame.metadata)[:6]]
        raise _wire_error("missing or unknown metadata", sorted(_METADATA), actual)
    text = frame.metadata["envelope"]
    try:
        envelope = Envelope.model_validate_json(text)
    except ValidationError as error:
        raise _invalid("envelope", error) from error
    _check_canonical("envelope", _envelope_text(envelope), text)
    return envelope


def _payload(
    frame: Frame,
    coding: Coding,
    arrays: Mapping[str, NDArray[Any]],
    payload_type: type[Payload],
) -> Payload:
    text = frame.metadata["payload"]
    scalars = _scalars(text)
    if arrays.keys() != payload_type.array_fields.keys():
        actual = [name[:40] for name in sorted(arrays)[:6]]
        raise _wire_error("missing or unknown arrays", list(payload_type.array_fields), actual)
    mended = {name: payload_type.after_decoding(name, arrays[name]) for name in coding.shapes}
    try:
        payload = payload_type.model_validate({**scalars, **arrays, **mended})
    except ValidationError as error:
        raise _invalid("payload", error) from error
    _check_canonical("payload", _scalars_text(payload), text)
    return payload


def _scalars(text: str) -> dict[str, Any]:
    """Return the scalar fields; what is only nearly JSON is refused as not canonical, later on."""
    try:
        scalars = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _wire_error("the payload is not JSON", "a JSON object", str(error)[:200]) from error
    if not isinstance(scalars, dict):
        raise _wire_error("the payload is malformed", "a JSON object", type(scalars).__name__)
    return scalars


def _envelope_text(envelope: Envelope) -> str:
    fields = {**vars(envelope), "gradient": vars(envelope.gradient)}
    del fields["version"]
    return to_json(fields)


def _scalars_text(payload: Payload) -> str:
    return to_json({name: getattr(payload, name) for name in payload.scalar_fields})


def _check_canonical(what: str, expected: str, actual: str) -> None:
    if actual != expected:
        raise _wire_error(f"the {what} is not canonical", expected[:200], actual[:200])


def _invalid(what: str, error: ValidationError) -> WireError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part)[:40] for part in first["loc"])
    return _wire_error(f"the {what} is malformed", first["msg"][:200], path or what)


def _wire_error(message: str, expected: object, actual: object) -> WireError:
    return WireError(message, expected=expected, actual=actual, mend=_MEND_SENDER)
