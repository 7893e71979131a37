"""bfloat16: 2 bytes per number, with 8 significant bits and the range of float32."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.codecs.base import Codec, Part, Parts, Shape

_LARGEST, _NAN = 0x7F7F, 0x7FC0


class Bf16(Codec):
    """bfloat16, the upper half of a float32; nothing overflows.

    ``|x - x'| <= max(2**-8 |x|, 2**-134)``. Finite numbers beyond the largest bfloat16 become it.
    """

    kind: Literal["bf16"] = "bf16"

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return one array of the upper 16 bits, as integers: NumPy has no bfloat16."""
        return {"bits": Part(np.dtype("<u2"), shape)}

    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Round to the nearest bfloat16, ties to even."""
        bits = np.ascontiguousarray(values).view(np.uint32)
        upper = bits >> 16
        # In 64 bits: adding to the bits of a NaN may carry over.
        rounded = ((bits.astype(np.uint64) + 0x7FFF + (upper & 1)) >> 16).astype(np.uint32)
        overflown = np.isfinite(values) & (rounded & 0x7FFF > _LARGEST)
        rounded = np.where(overflown, (upper & 0x8000) | _LARGEST, rounded)
        return {"bits": np.where(np.isnan(values), _NAN, rounded).astype("<u2")}

    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Widen, which is exact."""
        widened: NDArray[np.float32] = (parts["bits"].astype(np.uint32) << 16).view(np.float32)
        return widened
