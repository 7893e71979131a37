"""One byte per number: 256 even steps from the smallest to the largest number of a row."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.codecs.base import Codec, Part, Parts, Rows, Shape, from_rows, row_shape, to_rows
from protocols.messages.arrays import CHUNK_ELEMENTS

STEPS = 255


class Int8(Codec):
    """One byte per number, in 256 even steps from the smallest to the largest number of its row.

    ``|x - x'| <= range / 510`` up to float32's own rounding, where the range is that of the row (of a block
    of 1,024 numbers if an array is flat). The smallest, the largest and rows of one number are exact.
    """

    kind: Literal["int8"] = "int8"

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return a code for each number, and the smallest and the largest of each row."""
        height, width = row_shape(shape)
        return {
            "codes": Part(np.dtype("u1"), (height, width)),
            "ranges": Part(np.dtype("<f4"), (height, 2)),
        }

    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Round to the nearest step."""
        codes, ranges = quantise(to_rows(values, padding=float(values.flat[-1])))
        return {"codes": codes, "ranges": ranges}

    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Interpolate between the smallest and the largest of a row."""
        return from_rows(restore(parts["codes"], parts["ranges"]), shape)


def quantise(rows_RW: Rows) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return codes `[R, W]`, and the smallest and the largest `[R, 2]` of each row.

    Example:
        >>> codes, ranges = quantise(np.array([[-1.0, 0.0, 4.0], [2.0, 2.0, 2.0]], np.float32))
        >>> codes.tolist(), ranges.tolist()
        ([[0, 51, 255], [0, 0, 0]], [[-1.0, 4.0], [2.0, 2.0]])
    """
    codes = np.empty(rows_RW.shape, np.uint8)
    ranges = np.stack([rows_RW.min(axis=1), rows_RW.max(axis=1)], axis=1)
    # A row that is not finite has no steps; a range of NaN lets the receiver reject it.
    ranges[~np.isfinite(ranges).all(axis=1)] = np.nan
    step = max(1, CHUNK_ELEMENTS // rows_RW.shape[1])
    for start in range(0, len(rows_RW), step):
        # In 64 bits: the range of a row may be larger than any float32.
        rows = rows_RW[start : start + step].astype(np.float64)
        least, largest = ranges[start : start + step, :, None].astype(np.float64).swapaxes(0, 1)
        span = largest - least
        scaled = (rows - least) * (STEPS / np.where(span > 0, span, 1.0))
        codes[start : start + step] = np.where(np.isfinite(span), np.rint(scaled), 0)
    return codes, ranges


def restore(codes_RW: NDArray[np.uint8], ranges_R2: NDArray[np.float32]) -> Rows:
    """Return the rows `[R, W]` that `quantise` coded."""
    least, largest = ranges_R2[:, :1], ranges_R2[:, 1:]
    share = codes_RW.astype(np.float32)
    share /= STEPS
    # Neither product overflows, and the sum is between the two up to rounding.
    with np.errstate(invalid="ignore"):  # a hostile range
        rows = (1 - share) * least
        share *= largest
        rows += share
    restored: Rows = np.clip(rows, least, largest, out=rows)
    return restored
