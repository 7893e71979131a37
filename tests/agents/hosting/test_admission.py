"""Inboxes: by sender, duplicates named, broadcasts validated once, and fetched again where they are large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.exchange.base import Turn
from agents.exchange.inbox import abridged
from agents.hosting import admission as module
from agents.hosting.admission import Admission
from agents.hosting.delivery import Delivery
from protocols.codecs.int8 import Int8
from protocols.errors import RejectedMessage
from protocols.messages import Message, Weights
from protocols.topologies.hops import Direction
from protocols.wire.buffers import checksum
from protocols.wire.serialize import encode
from protocols.wire.validate import Expectation, admit

EXPECTATION = Expectation(1, 0, frozenset({1, 2, 3}), Weights)
TURN = Turn(round=1, hop=0, direction=Direction.PEER)


def buffer(sender: int, value: float | None = None, codec=None) -> np.ndarray:
    values = np.full(100, sender if value is None else value, np.float32)
    payload = Weights(values=values, weight=1.0, layout="a")
    message = Message.compose(payload, sender=sender, round=1, hop=0)
    return encode(message) if codec is None else encode(message, codec)


class Outbox(list):
    """Messages, and how often each was looked up."""

    def __init__(self, buffers) -> None:
        super().__init__(buffers)
        self.count = [0] * len(self)

    def __getitem__(self, index):
        self.count[index] += 1
        return super().__getitem__(index)


def delivery(*indices: int, **fields) -> Delivery:
    return Delivery(TURN, frozenset({1, 2, 3}), tuple((0, i) for i in indices), **fields)


def inbox_of(outbox, kept_bytes=2**20, to=None):
    to = to or delivery(*range(len(outbox)))
    return Admission([outbox], [to], kept_bytes).inbox(to, EXPECTATION)


@pytest.fixture
def admitted(monkeypatch):
    """Count the messages that are validated."""
    found = []

    def counting(buffer, expectation):
        found.append(buffer)
        return admit(buffer, expectation)

    monkeypatch.setattr(module, "admit", counting)
    return found


def test_messages_come_by_sender_and_are_fetched_once():
    outbox = Outbox(map(buffer, (3, 1, 2)))
    inbox, rejected = inbox_of(outbox)
    assert [message.envelope.sender for message in inbox] == [1, 2, 3]
    assert [inbox[-1].envelope.sender, len(inbox[:2])] == [3, 2]
    assert outbox.count == [1, 1, 1]
    assert rejected == []


def test_messages_beyond_what_is_kept_are_fetched_again_and_equal():
    outbox = Outbox(map(buffer, (3, 1, 2)))
    expected, _ = inbox_of(Outbox(outbox))
    inbox, _ = inbox_of(outbox, kept_bytes=2 * outbox[0].nbytes)
    outbox.count = [0] * 3
    assert list(inbox) == list(expected)
    assert outbox.count == [0, 0, 1]


def test_coded_messages_count_by_what_they_take_in_memory():
    outbox = Outbox(buffer(sender, codec=Int8()) for sender in (1, 2))
    assert outbox[0].nbytes < 400
    inbox, rejected = inbox_of(outbox, kept_bytes=400)
    outbox.count = [0, 0]
    assert [len(inbox), len(list(inbox)), rejected] == [2, 2, []]
    assert outbox.count == [0, 1]


def test_scalars_of_messages_that_are_not_kept_are_known_without_fetching_them():
    outbox = Outbox(map(buffer, (3, 1, 2)))
    inbox, _ = inbox_of(outbox, kept_bytes=0)
    short = abridged(inbox)
    assert outbox.count == [1, 1, 1]
    for left, whole in zip(short, list(inbox), strict=True):
        assert left.envelope == whole.envelope
        assert (left.payload.weight, left.payload.layout) == (1.0, "a")
        assert left.payload.values.shape == whole.payload.values.shape
        assert left.payload.values.strides == (0,)
    assert abridged([*inbox]) == [*inbox]


def test_second_message_of_a_sender_is_rejected():
    inbox, rejected = inbox_of([buffer(1), buffer(1), buffer(2)])
    assert len(inbox) == 2
    assert [(error.reason, error.sender) for error in rejected] == [("duplicate", 1)]


def test_damage_and_checksums_are_those_of_a_delivery():
    outbox = [buffer(1), buffer(2)]
    sums = tuple(checksum(each) for each in outbox)

    def flip(whole):
        whole = whole.copy()
        whole[-1] ^= 1
        return whole

    inbox, rejected = inbox_of(outbox, to=delivery(0, 1, damage={1: (flip,)}))
    assert (len(inbox), rejected) == (2, [])
    assert inbox[1].payload.values[-1] != 2
    inbox, rejected = inbox_of(outbox, to=delivery(0, 1, damage={1: (flip,)}, checksums=sums))
    assert [message.envelope.sender for message in inbox] == [1]
    assert [error.reason for error in rejected] == ["checksum"]


def test_broadcast_is_validated_once_for_all_agents_of_a_host(admitted):
    outbox = Outbox([buffer(1), buffer(2)])
    deliveries = [delivery(0), delivery(0, 1), delivery(0)]
    admission = Admission([outbox], deliveries)
    inboxes = [admission.inbox(each, EXPECTATION)[0] for each in deliveries]
    assert [len(inbox) for inbox in inboxes] == [1, 2, 1]
    assert inboxes[0][0] is inboxes[1][0] is inboxes[2][0]
    assert len(admitted) == 2
    assert outbox.count == [1, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"senders": frozenset({2})}, "neighbour"),
        ({"layout": "b"}, "layout"),
        ({"shapes": {"values": (99,)}}, "shape"),
        ({"round": 2}, "round"),
        ({"hop": 1}, "hop"),
    ],
)
def test_broadcast_meets_the_expectation_of_every_agent(change, reason):
    to = delivery(0)
    admission = Admission([[buffer(1)]], [to, to])
    assert admission.inbox(to, EXPECTATION)[1] == []
    inbox, rejected = admission.inbox(to, replace(EXPECTATION, **change))
    assert (len(inbox), [error.reason for error in rejected]) == (0, [reason])


def test_damage_on_the_way_to_one_agent_leaves_the_others_alone(admitted):
    def ruin(whole):
        return whole[:-4]

    whole, damaged = delivery(0), delivery(0, damage={0: (ruin,)})
    admission = Admission([[buffer(1)]], [whole, damaged, whole])
    found = [admission.inbox(each, EXPECTATION) for each in (whole, damaged, whole)]
    assert [len(inbox) for inbox, _ in found] == [1, 0, 1]
    assert [error.reason for error in found[1][1]] == ["malformed"]
    assert len(admitted) == 2


def test_rejected_broadcast_is_rejected_by_every_receiver():
    to = delivery(0)
    admission = Admission([[buffer(1, value=np.nan)]], [to, to])
    for _ in range(2):
        inbox, rejected = admission.inbox(to, EXPECTATION)
        assert (len(inbox), [error.reason for error in rejected]) == (0, ["not_finite"])
        assert isinstance(rejected[0], RejectedMessage)


def test_validated_broadcasts_are_kept_within_bounds(monkeypatch, admitted):
    outbox = [buffer(1, value=value) for value in range(20)]
    monkeypatch.setattr(module, "SHARED_BYTES", 3 * outbox[0].nbytes)
    deliveries = [delivery(index) for index in range(20)] * 2
    admission = Admission([outbox], deliveries)
    for index, each in enumerate(deliveries):
        (message,) = admission.inbox(each, EXPECTATION)[0]
        assert message.payload.values[0] == index % 20
    assert len(admission._validated) == 3
    assert len(admitted) == 40
    (message,) = admission.inbox(deliveries[19], EXPECTATION)[0]
    assert len(admitted) == 40
