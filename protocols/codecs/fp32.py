"""No coding: every number in 4 bytes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.codecs.base import Codec, Part, Parts, Shape


class Fp32(Codec):
    """Uncompressed float32; receivers make no copy."""

    kind: Literal["fp32"] = "fp32"

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return the array itself."""
        return {"values": Part(np.dtype("<f4"), shape)}

    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the array itself."""
        return {"values": values}

    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Return the array itself."""
        return parts["values"]
