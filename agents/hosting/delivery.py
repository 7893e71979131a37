"""Routing: the messages that a host has sent, those that an agent is to merge, and where their bytes lie."""

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

        All are copied before this returns: their arrays are the senders' own, and stay as they are only while
        the host composes.
        """

    def get(self, handles: Sequence[Any]) -> list[Sequence[Bytes | Packet]]:
        """Return the messages behind handles, copying nothing where that is possible.

        Where there are many, each may be fetched only when it is indexed; it stays valid while it is used.
        """


Sent: TypeAlias = tuple[Envelope, tuple[int, ...], int, int]
"""One message in an outbox: envelope, recipients, bytes, and bytes without a codec."""


@dataclass(frozen=True)
class Outbox:
    """A host's messages as the coordinator sees them: envelopes, routing and sizes, and where the bytes lie.

    Attributes:
        handle: of the store.
        envelopes: one per message, in the order of the store.
        recipients: of each message, ascending.
        payload_bytes: of each message.
        fp32_bytes: of each message, had it no codec.
        checksums: CRC-32 of each message, where the run asks for them.
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
        turn: where in the round it is.
        senders: agents that it accepts messages from.
        messages: (outbox, index within it) of each message, outboxes numbered as in the call.
        staleness: the rule for messages of other rounds; None where there are to be none.
        damage: done to some messages on the way, by their place in `messages`.
        checksums: CRC-32 that each message must have; none where they are not checked.
        fewest: messages to accept at least; of fewer, none is merged.
    """

    turn: Turn
    senders: frozenset[int]
    messages: tuple[tuple[int, int], ...]
    staleness: Staleness | None = None
    damage: Mapping[int, Sequence[Callable[[Bytes], Bytes]]] = field(default_factory=dict)
    checksums: tuple[int, ...] = ()
    fewest: int = 0
