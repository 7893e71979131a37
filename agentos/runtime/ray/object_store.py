"""Messages in Ray's object store: put there as they are composed, read without a copy.

Large messages are stored in pieces, which Ray copies from where they lie straight into the store. Small
ones are gathered in one buffer first: what a piece costs Ray is more than a short copy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice
from pickle import PickleBuffer
from typing import Any, NamedTuple, overload

import numpy as np

from protocols.wire.buffers import Bytes, Packet
from protocols.wire.header import ALIGNMENT

PARCEL_BYTES = 16 * 2**20, 64 * 2**20
"""The least and the most of messages that share an object of the store: Ray's cost is per object."""
PARCELS = 32
"""Least number of parcels in a host's share of the store: large ones leave much room unused between them."""
FETCHED = 8
"""Parcels that one host holds at a time while it merges; the store spills those that no host holds."""
GATHERED_BYTES = 2**18
"""Messages up to this size are gathered."""

Messages = Sequence[Bytes | Packet]


class _Gathered(NamedTuple):
    """Messages side by side in one buffer, and where each begins and ends."""

    buffer: Bytes
    spans: list[tuple[int, int]]

    def messages(self) -> Messages:
        return [self.buffer[begin:end] for begin, end in self.spans]


class _Apart(NamedTuple):
    """Messages in pieces, as buffers (which cost less to pickle than arrays), and how many each has."""

    pieces: list[Any]
    counts: list[int]

    def messages(self) -> Messages:
        pieces = (np.frombuffer(piece, np.uint8) for piece in self.pieces)
        return [Packet(tuple(islice(pieces, count))) for count in self.counts]


class Parcel(NamedTuple):
    """One object of the store.

    Attributes:
        reference: in a list, which keeps Ray from resolving it on the way.
        first: index of its first message among those of the host.
        payload_bytes: of all its messages.
    """

    reference: list[Any]
    first: int
    payload_bytes: int


def parcel_bytes(share_bytes: int) -> int:
    """Return the size of parcels for a host's share of a store.

    Example:
        >>> [parcel_bytes(size * 2**20) // 2**20 for size in (40, 1024, 2048, 32768)]
        [16, 32, 64, 64]
    """
    smallest, largest = PARCEL_BYTES
    return min(max(share_bytes // PARCELS, smallest), largest)


class RayStore:
    """Messages of a host in Ray's object store: few objects, read without a copy.

    Args:
        parcel_bytes: that messages are gathered to; a larger message has an object of its own.
    """

    def __init__(self, parcel_bytes: int = PARCEL_BYTES[0]) -> None:
        self._parcel_bytes = parcel_bytes
        self._buffer: Bytes = np.empty(0, np.uint8)

    def put(self, packets: Iterable[Packet]) -> list[Parcel]:
        """Store the messages; a parcel as soon as there is no room in it for the next one."""
        if self._buffer.size < self._parcel_bytes:
            self._buffer = np.empty(self._parcel_bytes, np.uint8)
        parcels: list[Parcel] = []
        load, first = _Load(self._buffer), 0
        for packet in packets:
            if not load.has_room(packet):
                parcels.append(load.sent(first))
                load, first = _Load(self._buffer), first + len(load)
            load.add(packet)
        return [*parcels, load.sent(first)] if load else parcels

    def get(self, handles: Sequence[Sequence[Parcel]]) -> list[Messages]:
        """Fetch all in one call or, where they are many, each parcel when something in it is looked up."""
        import ray

        parcels = [parcel for handle in handles for parcel in handle]
        held_bytes = FETCHED * self._parcel_bytes
        if sum(parcel.payload_bytes for parcel in parcels) > held_bytes:
            fetched = _Fetched(held_bytes)
            return [_Lazy(handle, fetched) for handle in handles]
        contents = iter(ray.get([parcel.reference[0] for parcel in parcels]))
        return [[each for _ in handle for each in next(contents).messages()] for handle in handles]


class _Load:
    """Messages being loaded into one parcel: small ones, which are gathered, or large ones in pieces.

    Args:
        buffer: of the size of a parcel, to gather messages in.
    """

    def __init__(self, buffer: Bytes) -> None:
        self._buffer = buffer
        self._spans: list[tuple[int, int]] = []
        self._apart: list[Packet] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._spans) + len(self._apart)

    def has_room(self, packet: Packet) -> bool:
        """Return whether a message may be added: there always is room for the first one."""
        small = self._is_small(packet)
        if self._apart if small else self._spans:
            return False
        begin = self._next if small else self._bytes
        return not self or begin + packet.nbytes <= self._buffer.size

    def add(self, packet: Packet) -> None:
        """Add a message, large or small as those before it."""
        if self._is_small(packet):
            self._spans.append((self._next, self._next + packet.nbytes))
            packet.write_to(self._buffer[slice(*self._spans[-1])])
        else:
            self._apart.append(packet)
        self._bytes += packet.nbytes

    def sent(self, first: int) -> Parcel:
        """Put the messages into the store, the first of them being that one of the host."""
        import ray

        stored: _Gathered | _Apart
        if self._spans:
            stored = _Gathered(self._buffer[: self._spans[-1][1]], self._spans)
        else:
            pieces = [PickleBuffer(piece.data) for each in self._apart for piece in each.pieces]
            stored = _Apart(pieces, [len(each.pieces) for each in self._apart])
        return Parcel([ray.put(stored)], first, self._bytes)

    def _is_small(self, packet: Packet) -> bool:
        return packet.nbytes <= min(GATHERED_BYTES, self._buffer.size)

    @property
    def _next(self) -> int:
        """The offset of the next small message: aligned, so that numbers can be read where they lie."""
        return -(-self._spans[-1][1] // ALIGNMENT) * ALIGNMENT if self._spans else 0


class _Fetched:
    """Cache of the parcels that were read last, up to so many bytes."""

    def __init__(self, held_bytes: int) -> None:
        self._held_bytes = held_bytes
        self._contents: OrderedDict[Any, tuple[Messages, int]] = OrderedDict()
        self._bytes = 0

    def __call__(self, parcel: Parcel) -> Messages:
        import ray

        reference = parcel.reference[0]
        if reference not in self._contents:
            self._contents[reference] = ray.get(reference).messages(), parcel.payload_bytes
            self._bytes += parcel.payload_bytes
            while self._bytes > self._held_bytes and len(self._contents) > 1:
                self._bytes -= self._contents.popitem(last=False)[1][1]
        self._contents.move_to_end(reference)
        return self._contents[reference][0]


class _Lazy(Sequence[Bytes | Packet]):
    """The messages of a host; a parcel is fetched when one of its messages is looked up."""

    def __init__(self, parcels: Sequence[Parcel], fetched: _Fetched) -> None:
        self._parcels = parcels
        self._firsts = [parcel.first for parcel in parcels]
        self._fetched = fetched

    def __len__(self) -> int:
        if not self._parcels:
            return 0
        return self._parcels[-1].first + len(self._fetched(self._parcels[-1]))

    @overload
    def __getitem__(self, index: int) -> Bytes | Packet: ...
    @overload
    def __getitem__(self, index: slice) -> Messages: ...
    def __getitem__(self, index: int | slice) -> Bytes | Packet | Messages:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        if index < 0:
            index += len(self)
        parcel = self._parcels[bisect_right(self._firsts, index) - 1]
        return self._fetched(parcel)[index - parcel.first]
