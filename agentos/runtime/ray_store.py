"""Messages in Ray's object store: put there as they are composed, read without a copy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

PARCEL_BYTES = 16 * 2**20
"""Messages share an object of the store up to so many bytes; Ray's cost is per object."""
FETCHED_BYTES = 128 * 2**20
"""What one host holds on to at a time while it merges; the store spills what nobody holds."""

Buffers = Sequence[NDArray[np.uint8]]


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

    def put(self, buffers: Iterable[NDArray[np.uint8]]) -> list[Parcel]:
        """Store the buffers, an object whenever there is enough for one."""
        parcels: list[Parcel] = []
        batch: list[NDArray[np.uint8]] = []
        first = held = 0
        for buffer in buffers:
            batch.append(buffer)
            held += buffer.nbytes
            if held >= PARCEL_BYTES:
                parcels.append(_parcel(batch, first, held))
                first, held, batch = first + len(batch), 0, []
        return [*parcels, _parcel(batch, first, held)] if batch else parcels

    def get(self, handles: Sequence[Sequence[Parcel]]) -> list[Buffers]:
        """Fetch all in one call or, where they are many, each parcel when something in it is looked up."""
        import ray

        parcels = [parcel for handle in handles for parcel in handle]
        if sum(parcel.payload_bytes for parcel in parcels) > FETCHED_BYTES:
            fetched = _Fetched()
            return [_Lazy(handle, fetched) for handle in handles]
        contents = iter(ray.get([parcel.reference[0] for parcel in parcels]))
        return [[buffer for _ in handle for buffer in next(contents)] for handle in handles]


class _Fetched:
    """The parcels that were read last."""

    def __init__(self) -> None:
        self._contents: OrderedDict[Any, tuple[Buffers, int]] = OrderedDict()
        self._bytes = 0

    def __call__(self, parcel: Parcel) -> Buffers:
        import ray

        reference = parcel.reference[0]
        if reference not in self._contents:
            self._contents[reference] = ray.get(reference), parcel.payload_bytes
            self._bytes += parcel.payload_bytes
            while self._bytes > FETCHED_BYTES and len(self._contents) > 1:
                self._bytes -= self._contents.popitem(last=False)[1][1]
        self._contents.move_to_end(reference)
        return self._contents[reference][0]


class _Lazy(Sequence[NDArray[np.uint8]]):
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
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> Buffers: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | Buffers:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        parcel = self._parcels[int(np.searchsorted(self._firsts, index, side="right")) - 1]
        return self._fetched(parcel)[index - parcel.first]


def _parcel(batch: list[NDArray[np.uint8]], first: int, held: int) -> Parcel:
    import ray

    return Parcel([ray.put(batch)], first, held)
