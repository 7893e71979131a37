"""Temporary file for the states of a host's agents that do not fit in memory.

Read and written with plain calls, not mapped: mapped pages would count as the process's memory. The file is
unlinked from its folder, so the operating system frees it when the process ends, however it ends. On systems
that cannot do this (Windows), it is deleted when it is closed.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.hosting.pytree import flatten, unflatten
from protocols.errors import RuntimeFailure

_PAGE = 4096


@dataclass(frozen=True)
class _Part:
    """Position of one tensor in a slot."""

    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    device: torch.device


@dataclass(frozen=True)
class Slot:
    """A tree in the file: its skeleton, the positions of its tensors, and its start and size there."""

    skeleton: Any
    parts: dict[str, _Part] = field(repr=False)
    start: int
    room: int


class SpillFile:
    """Storage on disk for trees of tensors and plain values; see `agents.hosting.pytree`.

    Freed space is reused for trees of about the same size, so the file grows no larger than the largest total
    that it held of every size.

    Args:
        folder: folder for the file; None for the system's temporary folder.

    Attributes:
        held_bytes: space used by all trees in it.

    Example:
        >>> with SpillFile() as file:
        ...     file.read(file.write({"step": 3, "moments": [torch.ones(2)]}))
        {'step': 3, 'moments': [tensor([1., 1.])]}
    """

    def __init__(self, folder: str | None = None) -> None:
        try:
            # Open for as long as the host has agents.
            self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=folder, buffering=0))  # noqa: SIM115
        except OSError as error:
            raise _refused(folder, error) from error
        self._folder = folder
        self._end = 0
        self._free: dict[int, list[int]] = {}
        self.held_bytes = 0

    def write(self, tree: Any) -> Slot:
        """Write a tree to the file.

        Raises:
            RuntimeFailure: the disk is full.
        """
        skeleton, tensors = flatten(tree)
        parts: dict[str, _Part] = {}
        end = 0
        for name, tensor in tensors.items():
            parts[name] = _Part(end, tensor.dtype, tuple(tensor.shape), tensor.device)
            end += tensor.nbytes
        slot = Slot(skeleton, parts, *self._take(end))
        try:
            self._file.seek(slot.start)
            for tensor in tensors.values():
                self._write(_bytes_of(tensor.cpu().contiguous()))
        except OSError as error:
            raise _refused(self._folder, error) from error
        return slot

    def read(self, slot: Slot) -> Any:
        """Return a new copy of a tree in the file."""

        def tensor(name: str) -> Tensor:
            part = slot.parts[name]
            values = torch.empty(part.shape, dtype=part.dtype)
            self._file.seek(slot.start + part.start)
            self._read(_bytes_of(values))
            return values.to(part.device)

        return unflatten(slot.skeleton, tensor)

    def prefetch(self, slot: Slot) -> None:
        """Ask the operating system to read a tree ahead."""
        if hasattr(os, "posix_fadvise"):  # not on macOS or Windows
            os.posix_fadvise(self._file.fileno(), slot.start, slot.room, os.POSIX_FADV_WILLNEED)

    def free(self, slot: Slot) -> None:
        """Free the space of a tree."""
        self._free.setdefault(slot.room, []).append(slot.start)
        self.held_bytes -= slot.room

    def close(self) -> None:
        """Close the file, which deletes it."""
        self._file.close()

    def __enter__(self) -> SpillFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, size: int) -> tuple[int, int]:
        """Return start and size of a free part of the file."""
        room = _rounded(size)
        self.held_bytes += room
        free = self._free.get(room)
        if free:
            return free.pop(), room
        start, self._end = self._end, self._end + room
        return start, room

    def _write(self, left: memoryview) -> None:
        while left:
            left = left[self._file.write(left) :]

    def _read(self, left: memoryview) -> None:
        while left:
            count = self._file.readinto(left)  # type: ignore[attr-defined]
            if not count:
                raise RuntimeFailure("the file of spilled states is truncated", hint="run again")
            left = left[count:]


def _rounded(size: int) -> int:
    """Round up to one of four sizes per power of two: few sizes, and at most a quarter is wasted.

    Example:
        >>> [_rounded(size) for size in (1, 5000, 9000, 17_000)]
        [4096, 8192, 12288, 20480]
    """
    pages = max(1, -(-size // _PAGE))
    step = 1 << max(0, (pages - 1).bit_length() - 3)
    return -(-pages // step) * step * _PAGE


def _bytes_of(tensor: Tensor) -> memoryview:
    values: NDArray[np.uint8] = tensor.reshape(-1).view(torch.uint8).numpy()
    return values.data


def _refused(folder: str | None, error: OSError) -> RuntimeFailure:
    return RuntimeFailure(
        f"agents' states cannot be spilled to {folder or tempfile.gettempdir()}",
        expected="a folder with room",
        actual=error.strerror or str(error),
        hint="make room, set runtime.spill_folder to another folder, or raise runtime.memory_mb",
    )
