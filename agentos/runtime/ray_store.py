"""Messages in Ray's object store: put there as they are composed, read without a copy.

Large messages go as their pieces, each of which Ray copies from where it lies straight into the store. Small
ones are gathered in one buffer first: what a piece costs Ray is more than a short copy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, overload

import numpy as np

from protocols.framing import ALIGNMENT
from protocols.packet import Bytes, Packet

PARCEL_BYTES = 16 * 2**20
"""Messages share an object of the store up to so many bytes; Ray's cost is per object."""
GATHERED_BYTES = 2**18
"""Messages up to this size are gathered."""
FETCHED_BYTES = 128 * 2**20
"""What one host holds on to at a time while it merges; the store spills what nobody holds."""

Messages = Sequence[Bytes | Packet]


class _Gathered(NamedTuple):
    """Messages side by side in one buffer, and where each begins and ends."""

    buffer: Bytes
    spans: list[tuple[int, int]]

    def messages(self) -> Messages:
        return [self.buffer[begin:end] for begin, end in self.spans]


class _Apart(NamedTuple):
    """Messages in pieces, and how many pieces each has."""

    pieces: list[Bytes]
    counts: list[int]

    def messages(self) -> Messages:
        pieces = iter(self.pieces)
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


class RayStore:
    """Messages of a host in Ray's object store: few objects, read without a copy."""

    def __init__(self) -> None:
        self._buffer: Bytes = np.empty(0, np.uint8)

    def put(self, packets: Iterable[Packet]) -> list[Parcel]:
        """Store the messages; a parcel as soon as there is no room in it for the next one."""
        if self._buffer.size < PARCEL_BYTES:
            self._buffer = np.empty(PARCEL_BYTES, np.uint8)
        parcels: list[Parcel] = []
        spans: list[tuple[int, int]] = []
        apart: list[Packet] = []
        count = 0

        def close() -> None:
            if spans:
                gathered = _Gathered(self._buffer[: spans[-1][1]], spans.copy())
                size = sum(end - begin for begin, end in spans)
                parcels.append(_parcel(gathered, count - len(spans), size))
            elif apart:
                pieces = [piece for packet in apart for piece in packet.pieces]
                size = sum(packet.nbytes for packet in apart)
                stored = _Apart(pieces, [len(packet.pieces) for packet in apart])
                parcels.append(_parcel(stored, count - len(apart), size))
            spans.clear()
            apart.clear()

        for packet in packets:
            # Aligned, so that numbers can be read where they lie.
            begin = -(-spans[-1][1] // ALIGNMENT) * ALIGNMENT if spans else 0
            if packet.nbytes <= GATHERED_BYTES:
                if apart or begin + packet.nbytes > PARCEL_BYTES:
                    close()
                    begin = 0
                spans.append((begin, begin + packet.nbytes))
                packet.write_to(self._buffer[slice(*spans[-1])])
            else:
                if spans or packet.nbytes + sum(each.nbytes for each in apart) > PARCEL_BYTES:
                    close()
                apart.append(packet)
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
        return [[each for _ in handle for each in next(contents).messages()] for handle in handles]


class _Fetched:
    """The parcels that were read last."""

    def __init__(self) -> None:
        self._contents: OrderedDict[Any, tuple[Messages, int]] = OrderedDict()
        self._bytes = 0

    def __call__(self, parcel: Parcel) -> Messages:
        import ray

        reference = parcel.reference[0]
        if reference not in self._contents:
            self._contents[reference] = ray.get(reference).messages(), parcel.payload_bytes
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


def _parcel(stored: _Gathered | _Apart, first: int, payload_bytes: int) -> Parcel:
    import ray

    return Parcel([ray.put(stored)], first, payload_bytes)
