"""The messages that an agent received on a hop, by sender; large messages are not all in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

from protocols.messages import Message

KEPT_BYTES = 256 * 2**20
"""Bytes of messages kept in memory per inbox; what exceeds them is fetched again to be read."""


class Inbox(Sequence[Message]):
    """Messages by sender. Those that are not kept are fetched and decoded whenever they are read.

    A strategy that reads its inbox once, message by message, then needs memory for one of them.

    Args:
        messages: messages by sender; abridged, that is with zeros for numbers, if they are not kept.
        again: by sender, a function that fetches and decodes a message that is not kept.
    """

    def __init__(
        self, messages: Mapping[int, Message], again: Mapping[int, Callable[[], Message]]
    ) -> None:
        self._messages = [messages[sender] for sender in sorted(messages)]
        self._again = again

    def abridged(self) -> list[Message]:
        """Return the messages for only their envelopes and scalars: nothing is fetched again."""
        return list(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        message = self._messages[index]
        again = self._again.get(message.envelope.sender)
        return message if again is None else again()


def abridged(inbox: Sequence[Message]) -> Sequence[Message]:
    """Return the messages of an inbox for only their envelopes and scalars; see `Inbox.abridged`."""
    return inbox.abridged() if isinstance(inbox, Inbox) else inbox
