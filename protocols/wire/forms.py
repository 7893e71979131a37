"""Many messages of one form: what is the same in their headers is written, read and checked once.

The headers of a thousand messages to one master are the same bytes, but for who speaks to whom and for the
payload's scalars. A *form* is the rest of a header, cut out around these three.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from protocols.codecs import Codec
from protocols.errors import ProtocolError, WireError
from protocols.messages import Envelope, Message, Payload
from protocols.wire.buffers import Packet
from protocols.wire.coding import FP32, is_coded
from protocols.wire.frame import (
    Buffer,
    Frame,
    Pieces,
    Span,
    order_of,
    prefix_of,
    read_header,
    split,
    tile,
)
from protocols.wire.json_text import from_json, to_json
from protocols.wire.serialize import decode, envelope_of, packet_of, payload_of
from protocols.wire.validate import Expectation, admit, check_envelope

FORMS = 64
"""Forms that are remembered; a hop has one or two."""
SCALARS = 1024
"""Payloads' scalars that are remembered, of which many are the same."""

RECIPIENTS = 4
"""Lists of recipients that are remembered: all messages to one master share one. They may be long."""

_RECIPIENTS = b'\\"recipients\\":['
_SENDER = b'\\"sender\\":'
_PAYLOAD = b'}","payload":"'
_VERSION = b'","version":"'


class _Cut(NamedTuple):
    """A header in pieces: what may differ within a form, and what is around that."""

    recipients: bytes
    sender: bytes
    scalars: bytes
    around: tuple[bytes, bytes, bytes]

    @property
    def header(self) -> bytes:
        """The header, without the spaces behind it."""
        before, between, after = self.around
        to, by = before + _RECIPIENTS + self.recipients, b"]" + between + _SENDER + self.sender
        return to + by + _PAYLOAD + self.scalars + _VERSION + after


@dataclass
class _Form:
    """What one message of a form has shown.

    Attributes:
        envelope: of that message.
        expectation: under which messages were admitted.
        spans: of the arrays.
        scalars: by their text.
    """

    envelope: Envelope
    expectation: Expectation
    spans: list[Span]
    scalars: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    def remember(self, text: bytes, payload: Payload) -> None:
        """Keep what a text says of scalars."""
        if len(self.scalars) < SCALARS:
            self.scalars[text] = {name: getattr(payload, name) for name in payload.scalar_fields}


class Packing:
    """Makes packets as `protocols.wire.serialize.packet_of` does, sooner for a form it has met.

    Of a message in a known form only who speaks to whom and the scalars are written anew.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[object, ...], tuple[_Cut, list[str]]] = {}
        self._scalars: dict[tuple[object, ...], bytes] = {}

    def __call__(self, message: Message, codec: Codec = FP32) -> Packet:
        """Return the packet of a message; see `protocols.wire.serialize.packet_of`."""
        payload = message.payload
        if is_coded(codec, type(payload)):
            return packet_of(message, codec)
        arrays = {name: getattr(payload, name) for name in payload.array_fields}
        described = {name: (values.dtype, values.shape) for name, values in arrays.items()}
        key = (type(payload), *_unaddressed(message.envelope), *described.values())
        pieces = *_written(message.envelope), self._text(payload)
        form = self._forms.get(key)
        if form is None:
            packet = packet_of(message, codec)
            cut = _cut(split(packet)[0])
            if cut and cut[:3] == pieces and len(self._forms) < FORMS:
                self._forms[key] = cut, order_of(described)
            return packet
        cut, order = form
        prefix = prefix_of(_Cut(*pieces, cut.around).header)
        data = (arrays[name].reshape(-1).view(np.uint8) for name in order)
        return Packet((np.frombuffer(prefix, np.uint8), *data))

    def _text(self, payload: Payload) -> bytes:
        """Return what stands in a header for a payload's scalars: a JSON text within a JSON text."""
        scalars = {name: getattr(payload, name) for name in payload.scalar_fields}
        # Texts, since 1 is equal to 1.0, and 0.0 to -0.0.
        key = (type(payload), *map(repr, scalars.values()))
        if key not in self._scalars:
            text = to_json(to_json(scalars))[1:-1].encode()
            if len(self._scalars) == SCALARS:
                return text
            self._scalars[key] = text
        return self._scalars[key]


class Admission:
    """Admits messages just as `protocols.wire.validate.admit` does, sooner where it knows their form.

    Whatever does not fit a known form in every respect is left to `admit`.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[bytes, bytes, bytes], _Form | None] = {}

    def __call__(self, buffer: Buffer | Packet, expectation: Expectation) -> Message:
        """Return the message in a buffer; see `protocols.wire.validate.admit`."""
        try:
            header, data = split(buffer)
            cut = _cut(header)
            message = self._message(cut, data, expectation) if cut else None
        except WireError:
            message = cut = None
        if message is None:
            message = admit(buffer, expectation)
            if cut is not None:
                self._learn(cut, message, expectation, data)
            return message
        check_envelope(message.envelope, expectation)
        message.payload.check_values(message.envelope.sender)
        return message

    def again(self, buffer: Buffer | Packet) -> Message:
        """Return a message that was admitted before: nothing is checked again."""
        header, data = split(buffer)
        cut = _cut(header)
        form = self._forms.get(cut.around) if cut else None
        message = self._message(cut, data, form.expectation) if cut and form else None
        return message or decode(buffer)

    def _message(self, cut: _Cut, data: Pieces, expectation: Expectation) -> Message | None:
        """Return a message of a known form, of which envelope and numbers are still to be checked."""
        form = self._forms.get(cut.around)
        if form is None or not expectation.asks_as(form.expectation):
            return None
        addresses = _addresses(cut)
        payload = _payload(form, cut.scalars, tile(form.spans, data))
        if addresses is None or payload is None:
            return None
        try:
            envelope = Envelope(**{**vars(form.envelope), **addresses})
        except ValidationError:
            return None
        return Message(envelope=envelope, payload=payload)

    def _learn(self, cut: _Cut, message: Message, expectation: Expectation, data: Pieces) -> None:
        """Remember the form of a message that `admit` has let in."""
        if cut.around not in self._forms and len(self._forms) < FORMS:
            self._forms[cut.around] = _form_of(cut, message, expectation, data)
        form = self._forms.get(cut.around)
        if form is not None:
            if not expectation.asks_as(form.expectation):
                form.expectation, form.scalars = expectation, {}
            form.remember(cut.scalars, message.payload)


def _form_of(cut: _Cut, message: Message, expectation: Expectation, data: Pieces) -> _Form | None:
    """Return the form of an admitted message; None if it is not certain that its header is cut rightly."""
    other = cut._replace(recipients=b"1,2", sender=b"0", scalars=b"?")
    update = {"recipients": (1, 2), "sender": 0}
    try:
        frame, probe = (Frame(*read_header(each.header), data) for each in (cut, other))
        envelope = envelope_of(probe)
    except ProtocolError:
        return None
    told = {**frame.metadata, "envelope": probe.metadata["envelope"], "payload": "?"}
    if (
        # Other pieces between the same cuts tell of other addresses and scalars, and of nothing else.
        (probe.entries, probe.metadata) == (frame.entries, told)
        and envelope == message.envelope.model_copy(update=update)
        and frame.entries.keys() == message.payload.array_fields.keys()  # so nothing is coded
    ):
        return _Form(message.envelope, expectation, frame.spans())
    return None


def _cut(header: bytes) -> _Cut | None:
    before, _, rest = header.partition(_RECIPIENTS)
    recipients, _, rest = rest.partition(b"]")
    between, _, rest = rest.partition(_SENDER)
    sender, _, rest = rest.partition(_PAYLOAD)
    scalars, found, after = rest.partition(_VERSION)
    return (
        _Cut(recipients, sender, scalars, (before, between, after.rstrip(b" "))) if found else None
    )


def _unaddressed(envelope: Envelope) -> tuple[object, ...]:
    """Return what an envelope says beside who speaks to whom."""
    gradient = envelope.gradient
    return envelope.round, envelope.hop, envelope.kind, gradient.kind, gradient.staleness


def _written(envelope: Envelope) -> tuple[bytes, bytes]:
    """Return recipients and sender as a header has them; `_numbers` reads them."""
    return _text_of(envelope.recipients), b"%d" % envelope.sender


@lru_cache(RECIPIENTS)
def _text_of(recipients: tuple[int, ...]) -> bytes:
    return ",".join(map(str, recipients)).encode()


def _addresses(cut: _Cut) -> dict[str, Any] | None:
    """Return who speaks to whom; None where that is not written as JSON does."""
    sender, recipients = _number(cut.sender), _numbers(cut.recipients)
    if sender is None or recipients is None:
        return None
    return {"sender": sender, "recipients": recipients}


@lru_cache(RECIPIENTS)
def _numbers(text: bytes) -> tuple[int, ...] | None:
    numbers = tuple(_number(each) for each in text.split(b","))
    return None if None in numbers else cast("tuple[int, ...]", numbers)


def _number(text: bytes) -> int | None:
    if not text.isdigit() or len(text) > 10:
        return None
    number = int(text)
    return number if b"%d" % number == text else None


def _payload(form: _Form, text: bytes, views: dict[str, NDArray[Any]]) -> Payload | None:
    """Return a payload of checked shapes; None where its scalars are not what is asked for."""
    expectation = form.expectation
    known = form.scalars.get(text)
    if known is not None:
        return expectation.payload(**known, **views)
    told = from_json(b'{"":"%b"}' % text, "the payload")
    if told.keys() != {""} or not told[""].isascii():
        return None
    payload = payload_of(told[""], views, expectation.payload)
    if expectation.layout not in (None, getattr(payload, "layout", None)):
        return None
    form.remember(text, payload)
    return payload
