"""Messages between the hosts: how they are carried, what is sent, and what is delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from agents.exchange.base import Turn
from agents.exchange.inbox import Fetch
from agents.exchange.staleness import Staleness
from protocols.errors import RejectedMessage
from protocols.messages import Envelope
from protocols.wire.buffers import Bytes, Packet, checksum, joined


class PayloadStore(Protocol):
    """Carries encoded messages between hosts by reference."""

    def put(self, packets: Iterable[Packet]) -> Any:
        """Store a host's messages as they come; return a handle that is cheap to pass on.

        All are copied before this returns: their arrays are the senders' own. While others speak, what an
        agent has said stays as it is.
        """

    def get(self, handles: Sequence[Any]) -> list[Sequence[Bytes | Packet]]:
        """Return the messages behind handles, copying nothing where that is possible.

        Where they are many, one may be fetched when it is looked up; it stays valid while it is used.
        """


class Heading(NamedTuple):
    """What the coordinator sees of an envelope: a tuple, since there is one of every message of a run."""

    sender: int
    recipients: tuple[int, ...]
    round: int
    hop: int
    kind: str

    @classmethod
    def of(cls, envelope: Envelope) -> Heading:
        """Return an envelope's heading."""
        sender, recipients = envelope.sender, envelope.recipients
        return cls(sender, recipients, envelope.round, envelope.hop, envelope.kind)


@dataclass(frozen=True)
class Outbox:
    """What the coordinator sees of a host's messages: headings and sizes, and where the bytes lie."""

    handle: Any
    envelopes: tuple[Heading, ...]
    payload_bytes: tuple[int, ...]
    fp32_bytes: tuple[int, ...]
    """What the messages would have taken without a codec."""
    checksums: tuple[int, ...] = ()
    """CRC-32 of each message, where the run asks for them."""


@dataclass(frozen=True)
class Delivery:
    """What an agent is to merge.

    Attributes:
        turn: where in the round it is.
        senders: whom it may hear.
        messages: (outbox, index within it) of each message, outboxes numbered as in the call.
        staleness: the rule for messages of other rounds; None where there are to be none.
        damage: what becomes of some messages on the way, by their place in `messages`.
        checksums: CRC-32 that each message must have; none where nobody checks.
        fewest: messages to accept at least; of fewer, none is merged.
    """

    turn: Turn
    senders: frozenset[int]
    messages: tuple[tuple[int, int], ...]
    staleness: Staleness | None = None
    damage: Mapping[int, Sequence[Callable[[Bytes], Bytes]]] = field(default_factory=dict)
    checksums: tuple[int, ...] = ()
    fewest: int = 0


def fetches(delivery: Delivery, outboxes: Sequence[Sequence[Bytes | Packet]]) -> list[Fetch]:
    """Return how to fetch each message of a delivery, as it arrives."""
    return [partial(_fetch, delivery, place, outboxes) for place in range(len(delivery.messages))]


def _fetch(
    delivery: Delivery, place: int, outboxes: Sequence[Sequence[Bytes | Packet]]
) -> Bytes | Packet:
    outbox, index = delivery.messages[place]
    message = outboxes[outbox][index]
    for damage in delivery.damage.get(place, ()):
        message = damage(joined(message))
    if delivery.checksums and checksum(message) != delivery.checksums[place]:
        raise RejectedMessage("a message was damaged on its way", reason="checksum")
    return message
