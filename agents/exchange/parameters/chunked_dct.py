"""Discrete cosine transform of parameters, chunk by chunk, and the largest components of each chunk.

Legend: P numbers of a flat buffer, Q components (one for each parameter, without the buffer's padding), C
chunks of a parameter, E components of a chunk, K of them that are kept, M kept components of all chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.lazy_torch import Tensor, torch

if TYPE_CHECKING:
    from agents.models.flat_parameters import Slot


@dataclass(frozen=True)
class Tiles:
    """Chunks of one parameter: a matrix `[rows, columns]` cut into tiles `[height, width]`.

    Attributes:
        start: place of its first number in the flat buffer.
    """

    start: int
    rows: int
    columns: int
    height: int
    width: int

    @property
    def chunks(self) -> int:
        """C."""
        return (self.rows // self.height) * (self.columns // self.width)

    @property
    def size(self) -> int:
        """E."""
        return self.height * self.width

    @property
    def _grid(self) -> tuple[int, int, int, int]:
        height, width = self.height, self.width
        return self.rows // height, height, self.columns // width, width

    def analyse(self, flat_P: Tensor) -> Tensor:
        """Return the components `[C, E]`: an orthonormal DCT-II of both axes of each tile."""
        part = flat_P[self.start : self.start + self.rows * self.columns].view(self._grid)
        rows, columns = _basis(self.height, flat_P), _basis(self.width, flat_P)
        return torch.einsum("yhxw,kh,lw->yxkl", part, rows, columns).reshape(-1, self.size)

    def synthesise(self, components_CE: Tensor, flat_P: Tensor) -> None:
        """Write the numbers that have these components into the flat buffer."""
        down, height, across, width = self._grid
        tiles = components_CE.view(down, across, height, width)
        rows, columns = _basis(height, flat_P), _basis(width, flat_P)
        part = flat_P[self.start : self.start + self.rows * self.columns].view(self._grid)
        part.copy_(torch.einsum("yxkl,kh,lw->yhxw", tiles, rows, columns))


@dataclass(frozen=True)
class ChunkedDCT:
    """The transform of all parameters of an encoder, and which of its components are kept.

    Attributes:
        tiles: one for each parameter, in the order of the flat buffer.
        kept: most components kept of a chunk; a smaller chunk is kept whole.
    """

    tiles: tuple[Tiles, ...]
    kept: int

    @classmethod
    def of(cls, slots: Sequence[Slot], side: int, kept: int) -> ChunkedDCT:
        """Cut parameters into tiles whose sides divide theirs and are at most `side`.

        Vectors are cut in one dimension; parameters of more than two are matrices of their first.
        """
        return cls(tuple(_tiles(slot, side) for slot in slots), kept)

    @property
    def kept_components(self) -> int:
        """M."""
        return sum(tiles.chunks * min(self.kept, tiles.size) for tiles in self.tiles)

    @property
    def chunk_layout(self) -> str:
        """Runs of like chunks as ``CxExK``, joined by colons; see `protocols.messages.Components`."""
        sizes = [(tiles.size, tiles.chunks) for tiles in self.tiles]
        runs = [
            (sum(chunks for _, chunks in run), size)
            for size, run in groupby(sizes, key=lambda pair: pair[0])
        ]
        return ":".join(f"{chunks}x{size}x{min(self.kept, size)}" for chunks, size in runs)

    def largest(self, flat_P: Tensor) -> tuple[Tensor, Tensor]:
        """Return the largest components `[M]` of each chunk, and their places `[M]` in it, ascending."""
        values, places = [], []
        for tiles in self.tiles:
            components_CE = tiles.analyse(flat_P)
            kept = min(self.kept, tiles.size)
            chosen = components_CE.abs().topk(kept, dim=1, sorted=False).indices.sort(dim=1).values
            values.append(components_CE.gather(1, chosen).flatten())
            places.append(chosen.flatten())
        return torch.cat(values), torch.cat(places)

    def mean(self, contributions: Iterable[tuple[Tensor, Tensor]], like_P: Tensor) -> Tensor:
        """Return the numbers `[P]` whose components are means over the contributions that hold them.

        Args:
            contributions: pairs of components `[M]` and their places `[M]`.
            like_P: a flat buffer of the result's length, device and padding.
        """
        starts_M = torch.from_numpy(self._starts()).to(like_P.device)
        size = sum(tiles.chunks * tiles.size for tiles in self.tiles)
        total_Q, count_Q = like_P.new_zeros(size), like_P.new_zeros(size)
        for values_M, places_M in contributions:
            at_M = starts_M + places_M  # none twice, so that the order of additions is defined
            total_Q[at_M] += values_M
            count_Q[at_M] += 1
        components_Q = total_Q.div_(count_Q.clamp_(min=1))
        flat_P, begin = torch.zeros_like(like_P), 0
        for tiles in self.tiles:
            end = begin + tiles.chunks * tiles.size
            tiles.synthesise(components_Q[begin:end], flat_P)
            begin = end
        return flat_P

    def _starts(self) -> NDArray[np.int64]:
        """Return, for each kept component, the place `[M]` of its chunk's first among all Q."""
        sizes = np.concatenate([np.full(tiles.chunks, tiles.size) for tiles in self.tiles])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return np.repeat(starts, np.minimum(sizes, self.kept)).astype(np.int64)


def _tiles(slot: Slot, side: int) -> Tiles:
    rows = slot.shape[0] if len(slot.shape) > 1 else 1
    columns = slot.length // rows
    return Tiles(slot.start, rows, columns, _divisor(rows, side), _divisor(columns, side))


@lru_cache(maxsize=1024)
def _divisor(size: int, most: int) -> int:
    """Return the largest divisor of a size that is not above `most`."""
    return max(n for n in range(1, min(size, most) + 1) if size % n == 0)


@lru_cache(maxsize=64)
def dct_matrix(size: int) -> NDArray[np.float32]:
    """Return the orthonormal DCT-II `[size, size]`: row k holds ``cos(pi k (2 i + 1) / (2 size))``, scaled.

    Example:
        >>> (dct_matrix(2) * 2**0.5).round(4).tolist()
        [[1.0, 1.0], [1.0, -1.0]]
    """
    k, i = np.arange(size)[:, None], np.arange(size)[None]
    matrix = np.cos(math.pi * k * (2 * i + 1) / (2 * size)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.astype(np.float32)


def _basis(size: int, like: Tensor) -> Tensor:
    return torch.from_numpy(dct_matrix(size)).to(like.device)
