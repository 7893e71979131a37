"""In-flight messages, concatenated in one file and read one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from agents.hosting.state_file import digest
from protocols.errors import RecordError
from protocols.wire.buffers import Bytes, Packet


def write_messages(messages: Iterable[Bytes | Packet], path: Path) -> tuple[str, list[int]]:
    """Write in-flight messages into a file; return its SHA-256, and the size of each.

    Raises:
        OSError: the file cannot be written.
    """
    sha256, sizes = hashlib.sha256(), []
    with path.open("wb") as file:
        for message in messages:
            pieces = message.pieces if isinstance(message, Packet) else (message,)
            for piece in pieces:
                file.write(piece.data)
                sha256.update(piece.data)
            sizes.append(message.nbytes)
    return sha256.hexdigest(), sizes


def read_messages(path: Path, sha256: str, sizes: Sequence[int]) -> Iterator[Packet]:
    """Yield the messages in a file, in their order; receivers validate them like any other message.

    Args:
        path: file to read.
        sha256: the expected digest of the file.
        sizes: bytes of each message.

    Raises:
        RecordError: the file is missing, or is not the file that was written.
    """
    try:
        if digest(path) != sha256 or path.stat().st_size != sum(sizes):
            raise ValueError("its digest or size differs from that in its checkpoint")
        with path.open("rb") as file:
            for size in sizes:
                yield Packet((np.frombuffer(file.read(size), np.uint8),))
    except (OSError, ValueError) as error:
        raise RecordError(
            f"the messages in {path} cannot be read",
            expected="the file that was written with its checkpoint",
            actual=getattr(error, "strerror", None) or str(error),
            hint="resume from an earlier round with --round, or run again",
        ) from error
