"""Routing: the messages that a host has sent, those that an agent is to merge, and where their bytes are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from agents.exchange.base import Turn
from agents.exchange.staleness import Staleness
from protocols.messages import Envelope
from protocols.wire.buffers import Bytes, Packet


class PayloadStore(Protocol):
    """Carries encoded messages between hosts by reference."""

    def put(self, packets: Iterable[Packet]) -> Any:
        """Store a host's messages as they come; return a handle that is cheap to pass on.

        Copies every message before returning, because the senders may modify their arrays once the host has
        composed.
        """

    def get(self, handles: Sequence[Any]) -> list[Sequence[Bytes | Packet]]:
        """Return the messages behind handles, copying nothing if that is possible.

        With many handles, each message may be fetched only when it is indexed; it stays valid while it is
        used.
        """


Sent: TypeAlias = tuple[Envelope, tuple[int, ...], int, int]
"""One message in an outbox: envelope, recipients, bytes, and bytes without a codec."""


@dataclass(frozen=True)
class Outbox:
    """A host's messages as the coordinator sees them: envelopes, routing, sizes and a handle to the bytes.

    Attributes:
        handle: the store's handle.
        envelopes: one per message, in the order of the store.
        recipients: recipients of each message, ascending.
        payload_bytes: size of each message.
        fp32_bytes: size of each message without a codec.
        checksums: CRC-32 of each message, if the run asks for them.
    """

    handle: Any
    envelopes: tuple[Envelope, ...]
    recipients: tuple[tuple[int, ...], ...]
    payload_bytes: tuple[int, ...]
    fp32_bytes: tuple[int, ...]
    checksums: tuple[int, ...] = ()

    def sent(self) -> Iterator[Sent]:
        """Return the messages, in the order of the store."""
        return zip(
            self.envelopes, self.recipients, self.payload_bytes, self.fp32_bytes, strict=True
        )


@dataclass(frozen=True)
class Delivery:
    """The messages that an agent is to merge.

    Attributes:
        turn: place in the round.
        senders: agents whose messages are accepted.
        messages: (outbox, index within it) of each message, outboxes numbered as in the call.
        staleness: the rule for messages of other rounds; None if such messages are not accepted.
        damage: alterations made in transit, by the message's place in `messages`.
        checksums: expected CRC-32 of each message; empty if they are not checked.
        fewest: minimum number of messages; below it, nothing is merged.
    """

    turn: Turn
    senders: frozenset[int]
    messages: tuple[tuple[int, int], ...]
    staleness: Staleness | None = None
    damage: Mapping[int, Sequence[Callable[[Bytes], Bytes]]] = field(default_factory=dict)
    checksums: tuple[int, ...] = ()
    fewest: int = 0
