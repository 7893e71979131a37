"""Principal components of the rows, one byte per number."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from protocols.codecs.base import LARGEST, Codec, Part, Parts, Shape, from_rows, row_shape, to_rows
from protocols.codecs.int8 import quantise, restore


class Pca(Codec):
    """The principal components of the rows, one byte per number, with their basis.

    The rows are centred and turned onto their K leading principal directions. Each component is sent as
    `int8`, in steps of its own range; the basis goes with every message in half precision, and the mean in
    full. With singular values ``s`` of the centred rows X, components C, and Q their int8 form,

        |X - X'|_F <= sqrt(sum_{i >= K} s_i^2) + |C - Q|_F (1 + e) + |C|_F e,  e = 2^-11 sqrt(K) + 2^-20:

    the energy of the discarded directions, and the rounding. It pays if rows are many and wide: the basis
    by itself costs ``2 K W`` bytes.
    """

    kind: Literal["pca"] = "pca"
    dimensions: int = Field(128, ge=1, description="Principal components that are kept at most.")

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Return codes and ranges of the components, their basis, and the mean."""
        height, width = row_shape(shape)
        kept = min(self.dimensions, height, width)
        return {
            "codes": Part(np.dtype("u1"), (kept, height)),
            "ranges": Part(np.dtype("<f4"), (kept, 2)),
            "basis": Part(np.dtype("<f2"), (kept, width)),
            "mean": Part(np.dtype("<f4"), (width,)),
        }

    def encode(self, values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Project onto the leading directions; each points to where its largest number is positive."""
        rows_RW = to_rows(values, padding=float(values.flat[-1])).astype(np.float64)
        mean_W = rows_RW.mean(axis=0)
        mean_W[~np.isfinite(mean_W)] = np.nan  # the receiver rejects it
        centred_RW = np.nan_to_num(rows_RW - mean_W.astype(np.float32), posinf=0.0, neginf=0.0)
        kept = min(self.dimensions, *centred_RW.shape)
        with _one_thread():
            directions_KW = np.linalg.svd(centred_RW, full_matrices=False)[2][:kept]
            strongest = np.abs(directions_KW).argmax(axis=1)
            directions_KW *= np.sign(directions_KW[np.arange(kept), strongest])[:, None]
            components_KR = directions_KW @ centred_RW.T
        codes, ranges = quantise(np.clip(components_KR, -LARGEST, LARGEST).astype(np.float32))
        basis = directions_KW.astype("<f2")
        return {"codes": codes, "ranges": ranges, "basis": basis, "mean": mean_W.astype(np.float32)}

    def decode(self, parts: Parts, shape: Shape) -> NDArray[np.float32]:
        """Turn the components back, and add the mean."""
        # Hostile ranges may hold signalling NaNs, and casting one raises a warning.
        with _one_thread(), np.errstate(invalid="ignore", over="ignore"):
            components_KR = restore(parts["codes"], parts["ranges"]).astype(np.float64)
            rows_RW = components_KR.T @ parts["basis"].astype(np.float64) + parts["mean"]
        return from_rows(np.clip(rows_RW, -LARGEST, LARGEST).astype(np.float32), shape)


def _one_thread() -> Any:
    """Keep linear algebra to one thread: the order of sums must not depend on the machine's load."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(limits=1)
