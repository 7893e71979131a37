"""What an agent received: by sender, duplicates named, and fetched again where it is too much to keep."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from agents.exchange.inbox import Reader, abridged, receive
from protocols.codecs.int8 import Int8
from protocols.errors import RejectedMessage
from protocols.messages import Message, Weights
from protocols.wire.serialize import encode
from protocols.wire.validate import Expectation

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


def test_coded_messages_count_by_what_they_take_in_memory():
    payload = Weights(values=np.ones(10_000, np.float32), weight=1.0, layout="a")
    fetched = Fetched(1, 2)
    fetched.buffers = [
        encode(Message.compose(payload, sender=each, recipients=[9], round=1, hop=0), Int8())
        for each in (1, 2)
    ]
    assert 2 * fetched.buffers[0].nbytes < 40_000
    inbox, rejected = receive(fetched.fetches, EXPECTATION, kept_bytes=40_000)
    assert [len(inbox), len(list(inbox)), rejected] == [2, 2, []]
    assert fetched.count == [1, 2]


def test_scalars_of_messages_that_are_not_kept_are_known_without_fetching_them():
    fetched = Fetched(3, 1, 2)
    inbox, _ = receive(fetched.fetches, EXPECTATION, kept_bytes=0)
    for short, whole in zip(abridged(inbox), list(inbox), strict=True):
        assert short.envelope == whole.envelope
        assert (short.payload.weight, short.payload.layout) == (1.0, "a")
        assert short.payload.values.shape == whole.payload.values.shape
        assert short.payload.values.strides == (0,)
    assert fetched.count == [2, 2, 2]
    assert abridged([*inbox]) == [*inbox]


def test_second_message_of_a_sender_is_rejected():
    inbox, rejected = receive(Fetched(1, 1, 2).fetches, EXPECTATION)
    assert len(inbox) == 2
    assert [(error.reason, error.sender) for error in rejected] == [("duplicate", 1)]


def shared(sender: int, *recipients: int, value: float = 1.0) -> np.ndarray:
    payload = Weights(values=np.full(100, value, np.float32), weight=1.0, layout="a")
    return encode(Message.compose(payload, sender=sender, recipients=recipients, round=1, hop=0))


def test_message_to_several_agents_is_read_once_and_addressed_to_each():
    read, buffer = Reader(), shared(1, 7, 8, 9)
    first = read(buffer, EXPECTATION)
    again = read(buffer, replace(EXPECTATION, recipient=7, senders=frozenset({1})))
    assert again is first
    for change, reason in (
        ({"recipient": 6}, "recipient"),
        ({"recipient": 8, "senders": frozenset({2})}, "neighbour"),
        ({"recipient": 8, "layout": "b"}, "layout"),
        ({"recipient": 8, "shapes": {"values": (99,)}}, "shape"),
        ({"recipient": 8, "round": 2}, "round"),
    ):
        with pytest.raises(RejectedMessage) as caught:
            read(buffer, replace(EXPECTATION, **change))
        assert caught.value.reason == reason


def test_reader_takes_no_buffer_for_another_and_remembers_within_bounds(monkeypatch):
    read = Reader()
    monkeypatch.setattr("agents.exchange.inbox.READ_BYTES", 3 * 400)
    for value in range(20):
        message = read(shared(1, 7, 9, value=value), EXPECTATION)
        assert message.payload.values[0] == value
    assert len(read._read) == 3
    with pytest.raises(RejectedMessage, match="finite"):
        read(shared(1, 7, 9, value=np.nan), EXPECTATION)
    assert len(read._read) == 3
