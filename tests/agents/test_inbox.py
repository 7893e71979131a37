"""What an agent received: by sender, duplicates named, and fetched again where it is too much to keep."""

from __future__ import annotations

from functools import partial

import numpy as np

from agents.inbox import receive
from protocols.messages import Message, Weights
from protocols.wire import Expectation, encode

EXPECTATION = Expectation(1, 0, 9, frozenset({1, 2, 3}), Weights)


def buffer(sender: int) -> np.ndarray:
    payload = Weights(values=np.full(100, sender, np.float32), weight=1.0, layout="a")
    return encode(Message.compose(payload, sender=sender, recipients=[9], round=1, hop=0))


class Fetched:
    """Buffers, and how often each was fetched."""

    def __init__(self, *senders: int) -> None:
        self.buffers = [buffer(sender) for sender in senders]
        self.count = [0] * len(senders)
        self.fetches = [partial(self._fetch, index) for index in range(len(senders))]

    def _fetch(self, index: int) -> np.ndarray:
        self.count[index] += 1
        return self.buffers[index]


def test_messages_come_by_sender_and_are_fetched_once():
    fetched = Fetched(3, 1, 2)
    inbox, rejected = receive(fetched.fetches, EXPECTATION)
    assert [message.envelope.sender for message in inbox] == [1, 2, 3]
    assert [inbox[-1].envelope.sender, len(inbox[:2])] == [3, 2]
    assert fetched.count == [1, 1, 1]
    assert rejected == []


def test_messages_beyond_what_is_kept_are_fetched_again_and_equal():
    fetched = Fetched(3, 1, 2)
    expected, _ = receive(Fetched(3, 1, 2).fetches, EXPECTATION)
    inbox, _ = receive(fetched.fetches, EXPECTATION, kept_bytes=2 * fetched.buffers[0].nbytes)
    assert list(inbox) == list(expected)
    assert fetched.count == [1, 1, 2]


def test_second_message_of_a_sender_is_rejected():
    inbox, rejected = receive(Fetched(1, 1, 2).fetches, EXPECTATION)
    assert len(inbox) == 2
    assert [(error.reason, error.sender) for error in rejected] == [("duplicate", 1)]
