"""What an agent received on a hop: checked, by sender and, where it is much, not in memory all at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias, overload

import numpy as np

from protocols.errors import RejectedMessage
from protocols.messages import Message
from protocols.wire.buffers import Bytes, Packet
from protocols.wire.forms import Admission
from protocols.wire.validate import Expectation, check_envelope

KEPT_BYTES = 256 * 2**20
"""Of messages of an inbox that stay in memory, at least; what exceeds them is fetched again to be read."""
READ_BYTES = 64 * 2**20
"""Of messages to several agents that a host remembers to have read, beside the latest one."""
Fetch: TypeAlias = Callable[[], Bytes | Packet]


class Reader:
    """Admits messages for the agents of a host. What several of them receive is read and checked once.

    A message to a thousand agents names them all: if each read it for itself, that would be a million
    names. Messages are immutable, so agents may share one. What is rejected is not remembered.
    """

    def __init__(self) -> None:
        # The buffer is kept, so that no other one gets its id.
        self._read: OrderedDict[int, tuple[Bytes | Packet, Expectation, Message]] = OrderedDict()
        self._bytes = 0
        self._admit = Admission()

    def __call__(self, buffer: Bytes | Packet, expectation: Expectation) -> Message:
        """Return the message in a buffer; see `protocols.wire.validate.admit`."""
        known = self._read.get(id(buffer))
        if known is not None and expectation.asks_as(known[1]):
            check_envelope(known[2].envelope, expectation)
            return known[2]
        message = self._admit(buffer, expectation)
        if known is None and len(message.envelope.recipients) > 1:
            self._remember(buffer, expectation, message)
        return message

    def again(self, buffer: Bytes | Packet) -> Message:
        """Return a message that was admitted before, and has been fetched again."""
        return self._admit.again(buffer)

    def _remember(self, buffer: Bytes | Packet, expectation: Expectation, message: Message) -> None:
        self._read[id(buffer)] = buffer, expectation, message
        self._bytes += _bytes_of(message)
        while self._bytes > READ_BYTES and len(self._read) > 1:
            self._bytes -= _bytes_of(self._read.popitem(last=False)[1][2])


def _bytes_of(message: Message) -> int:
    """Return the bytes of a message's arrays, decoded."""
    payload = message.payload
    return sum(getattr(payload, name).nbytes for name in payload.array_fields)


class Left(NamedTuple):
    """A message that is not kept.

    Attributes:
        again: fetches and reads it again.
        abridged: the message with zeros for its numbers, which take no memory.
    """

    again: Callable[[], Message]
    abridged: Message


class Inbox(Sequence[Message]):
    """Messages by sender. Only the first ones are kept; others are fetched whenever they are read.

    A strategy that reads its inbox once, message by message, needs memory for one of them.

    Args:
        letters: of each sender.
    """

    def __init__(self, letters: dict[int, Message | Left]) -> None:
        self._letters = [letters[sender] for sender in sorted(letters)]

    def abridged(self) -> list[Message]:
        """Return the messages for their envelopes and scalars alone: nothing is fetched again."""
        return [each.abridged if isinstance(each, Left) else each for each in self._letters]

    def __len__(self) -> int:
        return len(self._letters)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        letter = self._letters[index]
        return letter.again() if isinstance(letter, Left) else letter


def abridged(inbox: Sequence[Message]) -> Sequence[Message]:
    """Return the messages of an inbox for their envelopes and scalars alone; see `Inbox.abridged`."""
    return inbox.abridged() if isinstance(inbox, Inbox) else inbox


def receive(
    buffers: Iterable[Fetch],
    expectation: Expectation,
    kept_bytes: int = KEPT_BYTES,
    reader: Reader | None = None,
) -> tuple[Sequence[Message], list[RejectedMessage]]:
    """Check what came; return what is admitted, and why the rest is not.

    Args:
        buffers: how to fetch each; that may reject it already.
        expectation: of the receiver.
        kept_bytes: of messages to keep in memory.
        reader: of the host, where several agents may receive the same.
    """
    reader = reader or Reader()
    letters: dict[int, Message | Left] = {}
    rejected: list[RejectedMessage] = []
    for fetch in buffers:
        try:
            buffer = fetch()
            message = reader(buffer, expectation)
        except RejectedMessage as error:
            rejected.append(error)
            continue
        sender = message.envelope.sender
        if sender in letters:
            told = f"agent-{sender} has sent more than one message"
            rejected.append(RejectedMessage(told, reason="duplicate", sender=sender))
            continue
        # What was coded takes more when it is read.
        kept_bytes -= max(buffer.nbytes, _bytes_of(message))
        if kept_bytes >= 0:
            letters[sender] = message
        else:
            letters[sender] = Left(partial(_again, reader, fetch), _without_numbers(message))
    return Inbox(letters), rejected


def _again(reader: Reader, fetch: Fetch) -> Message:
    return reader.again(fetch())


def _without_numbers(message: Message) -> Message:
    payload = message.payload
    arrays = {name: getattr(payload, name) for name in payload.array_fields}
    zeros = {name: np.broadcast_to(np.zeros((), a.dtype), a.shape) for name, a in arrays.items()}
    return message.model_copy(update={"payload": payload.model_copy(update=zeros)})
