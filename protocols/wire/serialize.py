"""Messages to bytes and back.

A message is a header (see `protocols.wire.header`) followed by its arrays (see `protocols.wire.frame`). Both
are canonical: equal messages give equal bytes, and any other encoding is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

from protocols.codecs import Codec
from protocols.errors import WireError
from protocols.messages import PAYLOADS, Envelope, Message, Payload
from protocols.wire.buffers import Bytes, Packet
from protocols.wire.coding import FP32, Coding
from protocols.wire.frame import Buffer, frame, tile, unframe
from protocols.wire.header import Described, Header, canonical, table_of

_HINT = "let the sender build messages with Message.compose, and encode them with protocols.wire"


def encode(message: Message, codec: Codec = FP32) -> Bytes:
    """Return the message as one read-only buffer `[bytes]`; equal messages give equal bytes.

    Args:
        message: to send.
        codec: codes the fields that the payload allows to be coded.

    Raises:
        WireError: the scalar fields do not fit in a header, a dtype cannot be sent, or an array is too large
            for its coded form.

    Example:
        >>> from protocols.messages import Metrics
        >>> metrics = Metrics(values={"loss": 0.5})
        >>> message = Message.compose(metrics, sender=0, round=0, hop=0)
        >>> decode(encode(message)) == message
        True
    """
    return packet_of(message, codec).joined()


def packet_of(message: Message, codec: Codec = FP32) -> Packet:
    """Return the message as `encode` does, with uncoded arrays where they lie: nothing is copied.

    Raises:
        WireError: see `encode`.
    """
    payload = message.payload
    arrays = {name: getattr(payload, name) for name in payload.array_fields}
    coding = Coding.of(codec, type(payload), {name: a.shape for name, a in arrays.items()})
    sent = coding.encode(arrays) if coding.shapes else arrays
    described = {name: (values.dtype, values.shape) for name, values in sent.items()}
    return frame(header_of(message.envelope, scalars_of(payload), coding, described), sent)


def header_of(
    envelope: Envelope,
    scalars: Mapping[str, Any],
    coding: Coding,
    described: dict[str, Described],
) -> Header:
    """Return the header of a message with arrays of these dtypes and shapes, as they are sent.

    Raises:
        WireError: an array cannot be sent.
    """
    return Header(envelope, dict(scalars), coding.fields, table_of(described))


def scalars_of(payload: Payload) -> dict[str, Any]:
    """Return the fields of a payload that are no arrays."""
    return {name: getattr(payload, name) for name in payload.scalar_fields}


def decode(message: Buffer | Packet) -> Message:
    """Return the message in a buffer; uncoded arrays are read-only views of that buffer.

    The buffer must not be written to afterwards. A coded array may take up to 4,096 times its bytes in the
    buffer; `admit` refuses unexpected shapes first.

    Raises:
        WireError: the buffer is not a well-formed message.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    header, data = unframe(message)
    payload_type = PAYLOADS.get(header.envelope.kind)
    if payload_type is None:
        raise _error("unknown kind of payload", sorted(PAYLOADS), repr(header.envelope.kind[:40]))
    coding = Coding.read(header, payload_type, expected=None)
    arrays = coding.decode(tile(header.arrays, data))
    return Message(header.envelope, payload_of(header, arrays, payload_type, coding.shapes))


def read_envelope(message: Buffer | Packet) -> Envelope:
    """Return the envelope alone; the payload is not built.

    Raises:
        WireError: the buffer has no well-formed header.
        RejectedMessage: it is of another protocol version (reason ``"version"``).
    """
    return unframe(message)[0].envelope


def payload_of(
    header: Header,
    arrays: Mapping[str, NDArray[Any]],
    payload_type: type[Payload],
    coded: Collection[str] = (),
) -> Payload:
    """Build the payload of a message.

    Args:
        header: of the message, with the payload's scalar fields.
        arrays: by name; decoded where they were coded.
        payload_type: the payload's class.
        coded: names of the arrays that were coded.

    Raises:
        WireError: they do not make such a payload.
    """
    if arrays.keys() != payload_type.array_fields.keys():
        actual = [name[:40] for name in sorted(arrays)[:6]]
        raise _error("missing or unknown arrays", list(payload_type.array_fields), actual)
    fields = {**header.scalars, **arrays}
    if len(fields) < len(header.scalars) + len(arrays):
        raise _error("a field is both a scalar and an array", "each once", sorted(fields)[:6])
    for name in coded:
        fields[name] = payload_type.after_decoding(name, arrays[name])
    try:
        payload = payload_type.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error) from error
    # Pydantic converts, say, an integer to a float: the sender must not rely on that.
    if canonical(scalars_of(payload)) != canonical(header.scalars):
        given = str(header.scalars)[:200]
        raise _error("the payload is not canonical", str(scalars_of(payload))[:200], given)
    return payload


def _invalid(error: ValidationError) -> WireError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part)[:40] for part in first["loc"])
    return _error("the payload is malformed", first["msg"][:200], path or "payload")


def _error(message: str, expected: object, actual: object) -> WireError:
    return WireError(message, expected=expected, actual=actual, hint=_HINT)
