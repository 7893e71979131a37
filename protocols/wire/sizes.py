"""Sizes of messages, counted before there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocols.codecs import Codec
from protocols.messages import Envelope, Message, Payload
from protocols.wire.coding import FP32, UNCODED, Coding
from protocols.wire.frame import frame_bytes
from protocols.wire.header import Described, Shape
from protocols.wire.serialize import header_of, scalars_of


def message_bytes(
    envelope: Envelope,
    payload: type[Payload],
    shapes: Mapping[str, Shape],
    scalars: Mapping[str, Any],
    codec: Codec = FP32,
) -> int:
    """Return the size of such a message as `protocols.wire.serialize.encode` makes it, to the byte.

    Args:
        envelope: of the message.
        payload: its class.
        shapes: of each of its arrays.
        scalars: its other fields; they are part of the header, so their length counts.
        codec: codes the fields that the payload allows to be coded.

    Raises:
        WireError: an array is too large for its coded form, or the scalars for a header.
    """
    coding = Coding.of(codec, payload, shapes)
    described: dict[str, Described] = {
        name: (payload.array_fields[name].dtypes[0], shape)
        for name, shape in shapes.items()
        if name not in coding.shapes
    }
    described |= {name: (part.dtype, part.shape) for name, part in coding.parts().items()}
    return frame_bytes(header_of(envelope, scalars, coding, described))


def uncoded_bytes(message: Message) -> int:
    """Return the size of a message without a codec.

    Example:
        >>> import numpy as np
        >>> from protocols.messages import Embeddings
        >>> from protocols.wire.serialize import encode
        >>> embeddings = Embeddings(values=np.zeros((1, 8, 4), np.float32))
        >>> message = Message.compose(embeddings, sender=0, round=1, hop=0)
        >>> uncoded_bytes(message) == encode(message).nbytes
        True
    """
    payload = message.payload
    arrays = {name: getattr(payload, name) for name in payload.array_fields}
    described = {name: (values.dtype, values.shape) for name, values in arrays.items()}
    return frame_bytes(header_of(message.envelope, scalars_of(payload), UNCODED, described))
