"""Admission of messages to the agents of a host: fetched, validated once for all receivers, and sorted."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from agents.exchange.inbox import KEPT_BYTES, Inbox
from agents.hosting.delivery import Delivery
from protocols.errors import RejectedMessage
from protocols.messages import Message
from protocols.wire.buffers import Bytes, Packet, checksum, joined
from protocols.wire.validate import Expectation, admit, check_envelope, reread

SHARED_BYTES = 64 * 2**20
"""Bytes of validated broadcasts kept per host, besides the latest one."""


class _Validated(NamedTuple):
    """A message that several agents of the host receive, and the expectation that it met."""

    message: Message
    expectation: Expectation
    nbytes: int


class Admission:
    """Admits messages for the agents of a host.

    Messages are immutable, so agents may share one. A rejected message is validated again for every receiver:
    each reports it.

    Args:
        outboxes: messages of the hop, by outbox.
        deliveries: deliveries of all agents of the host, some of them possibly the same object.
        kept_bytes: bytes of one agent's messages to keep in memory while it merges.
    """

    def __init__(
        self,
        outboxes: Sequence[Sequence[Bytes | Packet]],
        deliveries: Iterable[Delivery],
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._outboxes = outboxes
        self._kept_bytes = kept_bytes
        receivers = Counter(place for delivery in deliveries for place in delivery.messages)
        self._shared = {place for place, count in receivers.items() if count > 1}
        self._validated: OrderedDict[tuple[int, int], _Validated] = OrderedDict()
        self._validated_bytes = 0

    def inbox(
        self, delivery: Delivery, expectation: Expectation
    ) -> tuple[Inbox, list[RejectedMessage]]:
        """Return the admitted messages of a delivery, and the reason for each of the others.

        Args:
            delivery: messages to an agent.
            expectation: that agent's expectation.
        """
        messages: dict[int, Message] = {}
        again: dict[int, Callable[[], Message]] = {}
        rejected: list[RejectedMessage] = []
        room = self._kept_bytes
        for number in range(len(delivery.messages)):
            try:
                message, nbytes = self._admit(delivery, number, expectation)
            except RejectedMessage as error:
                rejected.append(error)
                continue
            sender = message.envelope.sender
            if sender in messages:
                text = f"agent-{sender} has sent more than one message"
                rejected.append(RejectedMessage(text, reason="duplicate", sender=sender))
                continue
            room -= nbytes
            if room < 0:
                again[sender] = partial(self._reread, delivery, number, expectation)
                message = _abridged(message)
            messages[sender] = message
        return Inbox(messages, again), rejected

    def _admit(
        self, delivery: Delivery, number: int, expectation: Expectation
    ) -> tuple[Message, int]:
        """Return a message and the bytes that it takes in memory, encoded or decoded."""
        place = delivery.messages[number]
        # A message damaged in transit to one agent concerns only that agent.
        shared = place in self._shared and number not in delivery.damage
        known = self._validated.get(place) if shared else None
        if known is not None and expectation.asks_as(known.expectation):
            check_envelope(known.message.envelope, expectation)
            return known.message, known.nbytes
        packet = self._fetch(delivery, number)
        message = admit(packet, expectation)
        nbytes = max(packet.nbytes, _array_bytes(message))
        if shared and known is None:
            self._remember(place, _Validated(message, expectation, nbytes))
        return message, nbytes

    def _remember(self, place: tuple[int, int], validated: _Validated) -> None:
        self._validated[place] = validated
        self._validated_bytes += validated.nbytes
        while self._validated_bytes > SHARED_BYTES and len(self._validated) > 1:
            self._validated_bytes -= self._validated.popitem(last=False)[1].nbytes

    def _fetch(self, delivery: Delivery, number: int) -> Bytes | Packet:
        outbox, index = delivery.messages[number]
        packet = self._outboxes[outbox][index]
        for damage in delivery.damage.get(number, ()):
            packet = damage(joined(packet))
        if delivery.checksums and checksum(packet) != delivery.checksums[number]:
            raise RejectedMessage("a message was damaged on its way", reason="checksum")
        return packet

    def _reread(self, delivery: Delivery, number: int, expectation: Expectation) -> Message:
        return reread(self._fetch(delivery, number), expectation)


def _array_bytes(message: Message) -> int:
    payload = message.payload
    return sum([getattr(payload, name).nbytes for name in payload.array_fields])


def _abridged(message: Message) -> Message:
    """Return the message with zeros for its numbers, which take no memory."""
    payload = message.payload
    arrays = {name: getattr(payload, name) for name in payload.array_fields}
    zeros = {name: np.broadcast_to(np.zeros((), a.dtype), a.shape) for name, a in arrays.items()}
    return replace(message, payload=payload.model_copy(update=zeros))
