"""Packets: the bytes of a message, which need not be contiguous in memory."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
"""`[bytes]`, contiguous."""


@dataclass(frozen=True, eq=False)
class Packet:
    """A message as its sender holds it: the header, and then each array, not copied.

    A packet that is kept must be copied first (`joined`, `write_to`): its arrays may be an agent's own, and
    training changes them. Its bytes, in order, are those of the one buffer that `joined` makes.

    Attributes:
        pieces: the message's pieces, in their order, `[bytes]` each.

    Example:
        >>> packet = Packet((np.arange(3, dtype=np.uint8), np.ones(2, np.uint8)))
        >>> packet.nbytes, packet.joined().tolist()
        (5, [0, 1, 2, 1, 1])
    """

    pieces: tuple[Bytes, ...]

    @property
    def nbytes(self) -> int:
        """Size of the message in bytes."""
        return sum([piece.nbytes for piece in self.pieces])

    def joined(self) -> Bytes:
        """Return all bytes in a new contiguous buffer, read-only."""
        buffer = np.empty(self.nbytes, np.uint8)
        self.write_to(buffer)
        buffer.flags.writeable = False
        return buffer

    def write_to(self, buffer: Bytes) -> None:
        """Write all bytes, one piece after another, into a buffer of this size."""
        start = 0
        for piece in self.pieces:
            buffer[start : start + piece.nbytes] = piece
            start += piece.nbytes


def joined(message: Bytes | Packet) -> Bytes:
    """Return a message as contiguous bytes, copied only if it was not contiguous."""
    return message.joined() if isinstance(message, Packet) else message


def checksum(message: Bytes | Packet) -> int:
    """Return the CRC-32 of a message, contiguous or not.

    Example:
        >>> packet = Packet((np.arange(3, dtype=np.uint8), np.ones(2, np.uint8)))
        >>> checksum(packet) == checksum(packet.joined())
        True
    """
    crc = 0
    for piece in message.pieces if isinstance(message, Packet) else (message,):
        crc = zlib.crc32(piece.data, crc)
    return crc
