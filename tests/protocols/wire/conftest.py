"""Messages as a hostile sender might write them: valid preambles around headers of any content."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from struct import Struct
from typing import Any

import msgspec
import numpy as np
import pytest

PREAMBLE = Struct("<4sIII")


def forge(header: Any, data: bytes = b"", *, version: int = 1, magic: bytes = b"AGOS") -> bytes:
    """Return a message of any header: plain values, or the bytes of its struct."""
    body = header
    if not isinstance(header, bytes):
        body = msgspec.msgpack.encode(header, order="deterministic")
    head = PREAMBLE.pack(magic, version, len(body), zlib.crc32(body)) + body
    return head.ljust(-(-len(head) // 64) * 64, b"\0") + data


def dissect(buffer: Any) -> tuple[Any, bytes]:
    """Return the header of a message as plain values, and its data."""
    whole = bytes(buffer)
    length = PREAMBLE.unpack_from(whole)[2]
    start = -(-(PREAMBLE.size + length) // 64) * 64
    body = whole[PREAMBLE.size : PREAMBLE.size + length]
    return msgspec.msgpack.decode(body), whole[start:]


def reforge(
    buffer: Any,
    *,
    arrays: dict[str, Any] | None = None,
    envelope: dict[int, Any] | None = None,
    **fields: Any,
) -> bytes:
    """Return a message with other fields.

    Args:
        buffer: the message.
        arrays: to send instead, unchecked.
        envelope: its fields by their place: sender, round, hop, kind, gradient.
        fields: of the header: scalars, coding, table.
    """
    header, data = dissect(buffer)
    names = ("envelope", "scalars", "coding", "table")
    header = [fields.get(name, value) for name, value in zip(names, header, strict=True)]
    for place, value in (envelope or {}).items():
        header[0][place] = value
    if arrays is not None:
        values = {name: np.asarray(array) for name, array in arrays.items()}
        order = sorted(values, key=lambda name: (-values[name].dtype.itemsize, name))
        header[3] = [[n, code_of(values[n].dtype), list(values[n].shape)] for n in order]
        data = b"".join(values[name].tobytes() for name in order)
    return forge(header, data)


def code_of(dtype: np.dtype[Any]) -> str:
    return f"{ {'f': 'F', 'i': 'I', 'u': 'U'}.get(dtype.kind, '?') }{8 * dtype.itemsize}"


@pytest.fixture(name="forge", scope="session")
def _forge() -> Callable[..., bytes]:
    return forge


@pytest.fixture(name="dissect", scope="session")
def _dissect() -> Callable[[Any], tuple[Any, bytes]]:
    return dissect


@pytest.fixture(name="reforge", scope="session")
def _reforge() -> Callable[..., bytes]:
    return reforge
