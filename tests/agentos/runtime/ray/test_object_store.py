"""Messages in Ray's object store: in parcels, in their order, and fetched one by one where they are many."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.runtime.ray import object_store as ray_store
from agentos.runtime.ray.object_store import RayStore
from protocols.messages import Message, Weights
from protocols.wire.buffers import Packet, checksum, joined
from protocols.wire.serialize import decode, packet_of

pytestmark = pytest.mark.ray


def packets(count, size=1000):
    return [Packet((np.full(size, number, np.uint8),)) for number in range(count)]


def test_messages_share_parcels_in_their_order(ray_cluster, monkeypatch):
    store = RayStore(parcel_bytes=3100)
    handle = store.put(iter(packets(7)))
    assert [parcel.first for parcel in handle] == [0, 3, 6]
    assert [parcel.payload_bytes for parcel in handle] == [3000, 3000, 1000]
    (found,) = store.get([handle])
    assert [int(buffer[0]) for buffer in found] == list(range(7))


def test_small_messages_are_gathered_and_large_ones_go_in_pieces(ray_cluster, monkeypatch):
    monkeypatch.setattr(ray_store, "GATHERED_BYTES", 500)
    sizes = (10, 10, 5000, 10, 900, 900, 900, 900, 499, 500, 3000)
    arrays = [np.full(size, number, np.uint8) for number, size in enumerate(sizes)]
    store = RayStore(parcel_bytes=3000)
    handle = store.put(Packet((array[:1], array)) for array in arrays)
    for array in arrays:
        array[:] = 0  # their owners go on
    assert [parcel.first for parcel in handle] == [0, 2, 3, 4, 7, 8, 9, 10]
    assert [parcel.payload_bytes for parcel in handle] == [22, 5001, 11, 2703, 901, 500, 501, 3001]
    (found,) = store.get([handle])
    assert [each.nbytes for each in found] == [size + 1 for size in sizes]
    assert [np.unique(joined(each)).tolist() for each in found] == [[n] for n in range(11)]


def test_numbers_are_read_where_they_lie(ray_cluster, monkeypatch):
    payloads = [
        Weights(values=np.full(size, size, np.float32), weight=1.0, layout="x")
        for size in (50_000, 3, 50_001, 100_000, 50_002, 200_000)
    ]
    messages = [Message.compose(payload, sender=0, round=1, hop=0) for payload in payloads]
    store = RayStore(parcel_bytes=700_000)
    (found,) = store.get([store.put(map(packet_of, messages))])
    assert [type(each) for each in found] == [np.ndarray] * 3 + [Packet, np.ndarray, Packet]
    for each, message in zip(found, messages, strict=True):
        read = decode(each)
        assert read == message
        assert checksum(each) == checksum(packet_of(message)) == checksum(joined(each))
        where = each.pieces[-1] if isinstance(each, Packet) else each
        assert np.shares_memory(read.payload.values, where)


def test_many_messages_are_fetched_when_they_are_looked_up(ray_cluster, monkeypatch):
    monkeypatch.setattr(ray_store, "FETCHED", 1.5)
    store = RayStore(parcel_bytes=2100)
    first, second = store.get([store.put(packets(6)), store.put(packets(3))])
    assert (len(first), len(second)) == (6, 3)
    assert [int(first[index][0]) for index in (5, 0, 3, 1)] == [5, 0, 3, 1]
    assert [int(second[index][0]) for index in (1, -1, -3)] == [1, 2, 0]
    assert first._fetched._bytes <= 3150
    assert [int(buffer[0]) for buffer in first[1:3]] == [1, 2]


def test_message_larger_than_a_parcel_has_an_object_of_its_own(ray_cluster):
    store = RayStore(parcel_bytes=1500)
    handle = store.put([*packets(2, 700), *packets(1, 5000), *packets(1, 100)])
    assert [parcel.payload_bytes for parcel in handle] == [1400, 5000, 100]
    (found,) = store.get([handle])
    assert [each.nbytes for each in found] == [700, 700, 5000, 100]


def test_nothing_is_put_where_nobody_speaks(ray_cluster):
    store = RayStore()
    assert store.put(iter(())) == []
    assert list(store.get([[]])[0]) == []
