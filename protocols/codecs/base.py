"""Base of every codec: a smaller form of a float32 array, with a known loss.

A codec works on rows: those of the last axis, or blocks of 1,024 numbers if an array is flat.

Legend: R rows, W numbers in a row.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.errors import WireError
from protocols.spec import Spec

BLOCK = 1024
"""Numbers of a flat array that are coded together."""
EXPANSION = 4096
"""Largest ratio of an array's bytes to its coded bytes; bounds what a receiver may have to allocate."""
LARGEST = float(np.finfo(np.float32).max)

Shape = tuple[int, ...]
Rows = NDArray[np.float32]
Parts = Mapping[str, NDArray[Any]]


class Part(NamedTuple):
    """One array of a coded array."""

    dtype: np.dtype[Any]
    shape: Shape

    @property
    def nbytes(self) -> int:
        """Size of the array in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Codec(Spec, ABC):
    """A way to send a float32 array in fewer bytes.

    The coded form depends only on the numbers, never on threads, so that runs are equal to the bit. Numbers
    that are not finite stay so, for the receiver to reject.
    """

    kind: str

    @abstractmethod
    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return dtype and shape of every part that an array of this shape is coded in."""

    @abstractmethod
    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the parts that code an array, which is not empty; see `parts`."""

    @abstractmethod
    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Return an array of this shape from parts of the right dtypes and shapes.

        Raises:
            WireError: their numbers are not what `encode` could have written.
        """

    def roundtrip(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an array as a receiver will decode it."""
        return self.decode(self.encode(values), values.shape)

    def nbytes(self, shape: Shape) -> int:
        """Return the bytes of a coded array, without its part of the header."""
        return sum(part.nbytes for part in self.parts(shape).values())

    def check_expansion(self, shape: Shape) -> None:
        """Refuse an array that is too large for its coded form; nothing is allocated for a false claim.

        Raises:
            WireError: it stands for more than `EXPANSION` times the bytes that are sent.
        """
        if math.prod(shape) * 4 > EXPANSION * self.nbytes(shape):
            raise WireError(
                f"codec {self.kind} would expand too few bytes to too many",
                expected=f"at most {EXPANSION} times {self.nbytes(shape)} bytes",
                actual=f"shape {list(shape)}",
                hint="let the codec keep more of an array, or send it as fp16",
            )


def row_shape(shape: Shape) -> tuple[int, int]:
    """Return R and W of an array of this shape.

    Example:
        >>> row_shape((2, 256, 64)), row_shape((10,)), row_shape((3000,))
        ((512, 64), (1, 10), (3, 1024))
    """
    if len(shape) > 1:
        return math.prod(shape[:-1]), shape[-1]
    (size,) = shape
    return (1, size) if size <= BLOCK else (-(-size // BLOCK), BLOCK)


def to_rows(values: NDArray[np.float32], padding: float) -> Rows:
    """Return an array as rows `[R, W]`; the last block of a flat array is padded."""
    height, width = row_shape(values.shape)
    missing = height * width - values.size
    if missing:
        values = np.concatenate([values, np.full(missing, padding, np.float32)])
    return values.reshape(height, width)


def from_rows(rows: Rows, shape: Shape) -> NDArray[np.float32]:
    """Return the array that `to_rows` cut into rows."""
    values: NDArray[np.float32] = rows.reshape(-1)[: math.prod(shape)].reshape(shape)
    return values
