"""Half precision: 2 bytes per number, with 11 significant bits."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.codecs.base import Codec, Part, Parts, Shape

LARGEST_HALF = 65504.0


class Fp16(Codec):
    """IEEE half precision, for numbers below 65,504; larger numbers become 65,504.

    ``|x - x'| <= max(2**-11 |x|, 2**-25)`` within that range.
    """

    kind: Literal["fp16"] = "fp16"

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return one array of halves."""
        return {"values": Part(np.dtype("<f2"), shape)}

    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Round to the nearest half, ties to even."""
        clipped = np.clip(values, -LARGEST_HALF, LARGEST_HALF)
        # Infinities must not pass for large numbers: the receiver is to reject them.
        kept = np.where(np.isinf(values), values, clipped)
        return {"values": kept.astype("<f2")}

    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Widen, which is exact."""
        return parts["values"].astype(np.float32)
