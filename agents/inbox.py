"""What an agent received on a hop: checked, by sender and, where it is much, not in memory all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, overload

import numpy as np

from protocols.errors import RejectedMessage
from protocols.messages import Message
from protocols.wire import Expectation, admit, decode

KEPT_BYTES = 256 * 2**20
"""Of messages of an inbox that stay in memory; what exceeds them is fetched again when it is read."""
Fetch: TypeAlias = Callable[[], np.ndarray]


class Inbox(Sequence[Message]):
    """Messages by sender. Only the first ones are kept; others are fetched whenever they are read.

    A strategy that reads its inbox once, message by message, needs memory for one of them.

    Args:
        letters: for each sender the message, or how to fetch its buffer.
    """

    def __init__(self, letters: dict[int, Message | Fetch]) -> None:
        self._letters = [letters[sender] for sender in sorted(letters)]

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
        return letter if isinstance(letter, Message) else decode(letter())


def receive(
    buffers: Iterable[Fetch], expectation: Expectation, kept_bytes: int = KEPT_BYTES
) -> tuple[Sequence[Message], list[RejectedMessage]]:
    """Check what came; return what is admitted, and why the rest is not.

    Args:
        buffers: how to fetch each; that may reject it already.
        expectation: of the receiver.
        kept_bytes: of messages to keep in memory.
    """
    letters: dict[int, Message | Fetch] = {}
    rejected: list[RejectedMessage] = []
    for fetch in buffers:
        try:
            buffer = fetch()
            message = admit(buffer, expectation)
        except RejectedMessage as error:
            rejected.append(error)
            continue
        sender = message.envelope.sender
        if sender in letters:
            told = f"agent-{sender} has sent more than one message"
            rejected.append(RejectedMessage(told, reason="duplicate", sender=sender))
            continue
        kept_bytes -= buffer.nbytes
        letters[sender] = message if kept_bytes >= 0 else fetch
    return Inbox(letters), rejected
