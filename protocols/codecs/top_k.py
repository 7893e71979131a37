"""The numbers of largest magnitude, and their places."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.codecs.base import Codec, Part, Parts, Shape, from_rows, row_shape, to_rows
from protocols.errors import WireError


class TopK(Codec):
    """The largest magnitudes, exactly, and their places; all other numbers become 0.

    A lost number is at most as large as the smallest kept number, in its row (a block of 1,024 numbers if
    an array is flat) or in the whole array. Of equal magnitudes the first are kept. A sender that adds
    what was lost to its next message loses nothing in the long run: see `error feedback
    <agents.exchange.error_feedback>`.

    Source: Aji and Heafield, Sparse Communication for Distributed Gradient Descent, 2017.
    """

    kind: Literal["top_k"] = "top_k"
    share: float = Field(0.01, ge=0.001, le=1.0, description="Share of the numbers that is kept.")
    per: Literal["row", "array"] = Field(
        "row", description="Keep that share of every row, or of the array as a whole."
    )

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return the kept numbers of each row, and their places in it."""
        height, width, kept = self._sizes(shape)
        places = np.dtype("<u2") if width <= 2**16 else np.dtype("<u4")
        return {
            "places": Part(places, (height, kept)),
            "kept": Part(np.dtype("<f4"), (height, kept)),
        }

    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Keep the largest magnitudes of each row, in the order of their places."""
        height, width, kept = self._sizes(values.shape)
        rows = to_rows(values, padding=0.0) if self.per == "row" else values.reshape(1, -1)
        size = np.abs(rows)
        size[np.isnan(size)] = np.inf  # kept, so that the receiver rejects it
        least = np.partition(size, width - kept, axis=1)[:, width - kept, None]
        above, level = size > least, size == least
        room = kept - above.sum(axis=1, keepdims=True)
        chosen = above | (level & (np.cumsum(level, axis=1) <= room))
        places = np.nonzero(chosen)[1].reshape(height, kept)
        return {
            "places": places.astype(self.parts(values.shape)["places"].dtype),
            "kept": np.take_along_axis(rows, places, axis=1),
        }

    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Put the kept numbers in their places, among zeros."""
        height, width, _ = self._sizes(shape)
        places = parts["places"].astype(np.int64)
        if places.max() >= width or (np.diff(places, axis=1) <= 0).any():
            raise WireError(
                "the places of the numbers that top_k kept are not ascending, or lie beyond the row",
                expected=f"ascending places below {width}",
                actual=f"up to {places.max()}",
                hint="let the sender code its message with protocols.codecs",
            )
        rows = np.zeros((height, width), np.float32)
        np.put_along_axis(rows, places, parts["kept"], axis=1)
        return from_rows(rows, shape)

    def _sizes(self, shape: Shape) -> tuple[int, int, int]:
        """Return rows, numbers in a row, and how many of them are kept."""
        height, width = row_shape(shape) if self.per == "row" else (1, math.prod(shape))
        return height, width, math.ceil(self.share * width)
