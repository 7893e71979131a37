"""Messages in Ray's object store: in parcels, in their order, and fetched one by one where they are many."""

from __future__ import annotations

import numpy as np
import pytest

from agentos.runtime import ray_store
from agentos.runtime.ray_store import RayStore

pytestmark = pytest.mark.ray


def buffers(count, size=1000):
    return [np.full(size, number, np.uint8) for number in range(count)]


def test_messages_share_parcels_in_their_order(ray_cluster, monkeypatch):
    monkeypatch.setattr(ray_store, "PARCEL_BYTES", 2500)
    store = RayStore()
    handle = store.put(iter(buffers(7)))
    assert [parcel.first for parcel in handle] == [0, 3, 6]
    assert [parcel.payload_bytes for parcel in handle] == [3000, 3000, 1000]
    (found,) = store.get([handle])
    assert [int(buffer[0]) for buffer in found] == list(range(7))


def test_each_parcel_is_put_before_the_next_message_is_made(ray_cluster, monkeypatch):
    monkeypatch.setattr(ray_store, "PARCEL_BYTES", 1000)
    made, put = [], []
    parcel_of = ray_store._parcel
    monkeypatch.setattr(
        ray_store, "_parcel", lambda *args: put.append(len(made)) or parcel_of(*args)
    )
    RayStore().put(made.append(1) or buffer for buffer in buffers(3))
    assert put == [1, 2, 3]


def test_many_messages_are_fetched_when_they_are_looked_up(ray_cluster, monkeypatch):
    monkeypatch.setattr(ray_store, "PARCEL_BYTES", 2000)
    monkeypatch.setattr(ray_store, "FETCHED_BYTES", 3000)
    store = RayStore()
    first, second = store.get([store.put(buffers(6)), store.put(buffers(3))])
    assert (len(first), len(second)) == (6, 3)
    assert [int(first[index][0]) for index in (5, 0, 3, 1)] == [5, 0, 3, 1]
    assert int(second[-2 + 3][0]) == 1
    assert first._fetched._bytes <= 3000
    assert [int(buffer[0]) for buffer in first[1:3]] == [1, 2]


def test_nothing_is_put_where_nobody_speaks(ray_cluster):
    store = RayStore()
    assert store.put(iter(())) == []
    assert list(store.get([[]])[0]) == []
