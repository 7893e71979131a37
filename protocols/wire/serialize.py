"""Message <-> one buffer.

The arrays of the payload are the arrays of a safetensors file (see `protocols.wire.frame`). Its
metadata hold three JSON texts: ``version``, ``envelope`` and ``payload`` (the payload's scalar
fields). Each text must be exactly the one that `encode` writes for the values it holds: so no field
can be missing, repeated, or of another type that merely converts. Where a codec was at work, a fourth
text says how (see `protocols.wire.coding`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from protocols.codecs import Codec
from protocols.errors import RejectedMessage, WireError
from protocols.messages import PAYLOADS, PROTOCOL_VERSION, Envelope, Message, Payload
from protocols.wire.buffers import Bytes, Packet
from protocols.wire.coding import CODEC, FP32, Coding
from protocols.wire.frame import Buffer, Frame, lay_out, unpack
from protocols.wire.json_text import to_json

_METADATA = {"version", "envelope", "payload"}
_MEND_SENDER = "let the sender build its message with Message.compose and wire.encode"


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
    envelope = envelope_of(frame)
    payload_type = PAYLOADS.get(envelope.kind)
    if payload_type is None:
        raise _wire_error("unknown kind of payload", sorted(PAYLOADS), repr(envelope.kind[:40]))
    coding = Coding.read(frame, payload_type, expected=None)
    arrays = coding.decode(frame.arrays())
    payload = payload_of(frame.metadata["payload"], arrays, payload_type, coding.shapes)
    return Message(envelope=envelope, payload=payload)


def read_envelope(buffer: Buffer | Packet) -> Envelope:
    """Return the envelope alone; the payload is not looked at.

    Raises:
        WireError: the buffer has no well-formed header.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    return envelope_of(unpack(buffer))


def envelope_of(frame: Frame) -> Envelope:
    """Return the envelope of a frame; the version is read first, as another may differ in all that follows.

    Raises:
        WireError: it is malformed.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    version = frame.metadata.get("version", "")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise _wire_error("no protocol version", "a number", repr(version[:40]))
    if version != str(PROTOCOL_VERSION):
        hint = "run the same release of AgentOS on every host"
        raise RejectedMessage(
            "rejected a message for its version",
            reason="version",
            expected=PROTOCOL_VERSION,
            actual=version,
            hint=hint,
        )
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


def payload_of(
    text: str,
    arrays: Mapping[str, NDArray[Any]],
    payload_type: type[Payload],
    coded: Collection[str] = (),
) -> Payload:
    """Return the payload of a frame.

    Args:
        text: of its scalar fields, as in the metadata.
        arrays: by name; decoded where they were coded.
        payload_type: its class.
        coded: names of the arrays that were coded.

    Raises:
        WireError: they do not make such a payload.
    """
    scalars = _scalars(text)
    if arrays.keys() != payload_type.array_fields.keys():
        actual = [name[:40] for name in sorted(arrays)[:6]]
        raise _wire_error("missing or unknown arrays", list(payload_type.array_fields), actual)
    repaired = {name: payload_type.after_decoding(name, arrays[name]) for name in coded}
    try:
        payload = payload_type.model_validate({**scalars, **arrays, **repaired})
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
    return WireError(message, expected=expected, actual=actual, hint=_MEND_SENDER)
