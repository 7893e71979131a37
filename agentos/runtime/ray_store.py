"""Messages in Ray's object store: put there as they are composed, read without a copy.

A large message goes as its pieces, each of which Ray copies from where it lies straight into the store. Small
ones are gathered in one buffer first: what an object and a piece of it cost Ray is more than a short copy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from protocols.framing import ALIGNMENT
from protocols.packet import Bytes, Packet

PARCEL_BYTES = 16 * 2**20
"""Messages share an object of the store up to so many bytes; Ray's cost is per object."""
FETCHED_BYTES = 128 * 2**20
"""What one host holds on to at a time while it merges; the store spills what nobody holds."""

Messages = Sequence[Bytes | Packet]
Stored = tuple[list[Bytes], list[tuple[int, int]] | None]
"""An object: the pieces of one message or, where there are spans, the buffer in which several lie."""


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


class RayStore:
    """Messages of a host in Ray's object store: few objects, read without a copy."""

    def __init__(self) -> None:
        self._gathered: Bytes = np.empty(0, np.uint8)

    def put(self, packets: Iterable[Packet]) -> list[Parcel]:
        """Store the messages: a large one by itself, small ones as soon as there is no room for the next."""
        if self._gathered.size < PARCEL_BYTES:
            self._gathered = np.empty(PARCEL_BYTES, np.uint8)
        parcels: list[Parcel] = []
        spans: list[tuple[int, int]] = []
        count = 0

        def close() -> None:
            if spans:
                stored = [self._gathered[: spans[-1][1]]], spans.copy()
                parcels.append(_parcel(stored, count - len(spans), sum(e - b for b, e in spans)))
                spans.clear()

        for packet in packets:
            # Aligned, so that numbers can be read where they lie.
            begin = -(-spans[-1][1] // ALIGNMENT) * ALIGNMENT if spans else 0
            if begin + packet.nbytes > PARCEL_BYTES:
                close()
                begin = 0
            end = begin + packet.nbytes
            if end > PARCEL_BYTES:
                parcels.append(_parcel((list(packet.pieces), None), count, packet.nbytes))
            else:
                packet.write_to(self._gathered[begin:end])
                spans.append((begin, end))
            count += 1
        close()
        return parcels

    def get(self, handles: Sequence[Sequence[Parcel]]) -> list[Messages]:
        """Fetch all in one call or, where they are many, each parcel when something in it is looked up."""
        import ray

        parcels = [parcel for handle in handles for parcel in handle]
        if sum(parcel.payload_bytes for parcel in parcels) > FETCHED_BYTES:
            fetched = _Fetched()
            return [_Lazy(handle, fetched) for handle in handles]
        contents = iter(ray.get([parcel.reference[0] for parcel in parcels]))
        return [[each for _ in handle for each in _messages(next(contents))] for handle in handles]


class _Fetched:
    """The parcels that were read last."""

    def __init__(self) -> None:
        self._contents: OrderedDict[Any, tuple[Messages, int]] = OrderedDict()
        self._bytes = 0

    def __call__(self, parcel: Parcel) -> Messages:
        import ray

        reference = parcel.reference[0]
        if reference not in self._contents:
            self._contents[reference] = _messages(ray.get(reference)), parcel.payload_bytes
            self._bytes += parcel.payload_bytes
            while self._bytes > FETCHED_BYTES and len(self._contents) > 1:
                self._bytes -= self._contents.popitem(last=False)[1][1]
        self._contents.move_to_end(reference)
        return self._contents[reference][0]


class _Lazy(Sequence[Bytes | Packet]):
    """The messages of a host, of which each parcel is fetched when something in it is looked up."""

    def __init__(self, parcels: Sequence[Parcel], fetched: _Fetched) -> None:
        self._parcels = parcels
        self._firsts = np.array([parcel.first for parcel in parcels])
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
        parcel = self._parcels[int(np.searchsorted(self._firsts, index, side="right")) - 1]
        return self._fetched(parcel)[index - parcel.first]


def _parcel(stored: Stored, first: int, payload_bytes: int) -> Parcel:
    import ray

    return Parcel([ray.put(stored)], first, payload_bytes)


def _messages(stored: Stored) -> Messages:
    """Return the messages of an object."""
    pieces, spans = stored
    if spans is None:
        return [Packet(tuple(pieces))]
    return [pieces[0][begin:end] for begin, end in spans]
