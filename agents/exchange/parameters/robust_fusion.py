"""Rules that fuse parameter vectors: the mean, and rules that tolerate poisoned senders.

The robust rules weigh all vectors equally, since a sender can claim any number of documents. They read
vectors block by block, so that the messages are never stacked as a whole.

Legend: n vectors, P numbers in each, C numbers in a block.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Literal, Union

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.lazy_torch import Tensor, torch
from protocols.spec import Spec

Vector = Union["Tensor", NDArray[np.float32]]
SHARED = 2**14
"""Length above which copying a message's vector takes longer than sharing its memory with a tensor."""
STACKED = 2**24
"""Numbers in a block of all vectors together."""


class ParameterFusion(Spec, ABC):
    """A rule that fuses several vectors into one."""

    kind: str

    @property
    @abstractmethod
    def fewest(self) -> int:
        """Smallest number of vectors, the agent's own included, for which the rule's guarantee holds."""

    @abstractmethod
    def tolerated(self, vectors: int) -> int:
        """Return how many of so many vectors may be poisoned for the rule's guarantee to hold."""

    @abstractmethod
    def fuse(self, vectors: Sequence[Vector], weights: Sequence[float]) -> Tensor:
        """Return a new vector `[P]` on the device of the first.

        Args:
            vectors: `[P]` each, at least `fewest`: the agent's own, a tensor, then others' by sender.
            weights: weights of the vectors, above 0 in total; the robust rules ignore them.
        """


class Mean(ParameterFusion):
    """Weighted mean: no robustness, a single poisoned vector can move it anywhere."""

    kind: Literal["mean"] = "mean"

    @property
    def fewest(self) -> int:
        """Return 1: its own."""
        return 1

    def tolerated(self, vectors: int) -> int:
        """Return 0: a single one can move the mean anywhere."""
        return 0

    def fuse(self, vectors: Sequence[Vector], weights: Sequence[float]) -> Tensor:
        """Return the mean, added in the given order; every vector is read once."""
        total = sum(weights)
        mean_P = torch.zeros_like(tensor_of(vectors[0], vectors[0]))
        for vector, weight in zip(vectors, weights, strict=True):
            mean_P.add_(tensor_of(vector, mean_P), alpha=weight / total)
        return mean_P


class Median(ParameterFusion):
    """Coordinate-wise median (Yin et al. 2018): tolerates up to half of the vectors, less one, poisoned.

    For an even number of vectors, the mean of the two in the middle.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018.
    """

    kind: Literal["median"] = "median"

    @property
    def fewest(self) -> int:
        """Return 3: the median of two is their mean."""
        return 3

    def tolerated(self, vectors: int) -> int:
        """Return the largest minority.

        Example:
            >>> [Median().tolerated(n) for n in (3, 4, 5, 6)]
            [1, 1, 2, 2]
        """
        return (vectors - 1) // 2

    def fuse(self, vectors: Sequence[Vector], weights: Sequence[float]) -> Tensor:
        """Return the median of every coordinate."""
        middle = slice((len(vectors) - 1) // 2, len(vectors) // 2 + 1)
        return _by_coordinate(vectors, lambda block_nC: _ascending(block_nC)[middle].mean(dim=0))


class TrimmedMean(ParameterFusion):
    """Trimmed mean (Yin et al. 2018): average each coordinate without its largest and smallest values.

    Of n vectors ``floor(share * n)`` are dropped at each end, and as many may be poisoned.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018.
    """

    kind: Literal["trimmed_mean"] = "trimmed_mean"
    share: float = Field(
        0.2, gt=0.0, lt=0.5, description="Share of the vectors dropped at each end."
    )

    @property
    def fewest(self) -> int:
        """Return the smallest number for which one vector is dropped at each end."""
        return next(n for n in range(3, 2 + math.ceil(2 / self.share)) if self._cut(n))

    def tolerated(self, vectors: int) -> int:
        """Return how many are dropped at each end.

        Example:
            >>> [TrimmedMean(share=0.2).tolerated(n) for n in (5, 9, 10)]
            [1, 1, 2]
        """
        return self._cut(vectors)

    def fuse(self, vectors: Sequence[Vector], weights: Sequence[float]) -> Tensor:
        """Return the mean of the rest."""
        kept = slice(self._cut(len(vectors)), len(vectors) - self._cut(len(vectors)))
        return _by_coordinate(vectors, lambda block_nC: _ascending(block_nC)[kept].mean(dim=0))

    def _cut(self, count: int) -> int:
        return int(self.share * count + 1e-9)  # 0.29 * 100 is 28.999999999999996


class Krum(ParameterFusion):
    """Krum (Blanchard et al. 2017): pick the vector closest to its ``n - f - 2`` nearest others.

    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, 2017.
    """

    kind: Literal["krum"] = "krum"
    byzantine: int = Field(1, ge=1, description="Poisoned vectors that are tolerated, f.")

    @property
    def fewest(self) -> int:
        """Return ``2 f + 3``, as the proof requires."""
        return 2 * self.byzantine + 3

    def tolerated(self, vectors: int) -> int:
        """Return f, where there are enough vectors for it."""
        return self.byzantine if vectors >= self.fewest else 0

    def fuse(self, vectors: Sequence[Vector], weights: Sequence[float]) -> Tensor:
        """Return a copy of the chosen vector; the first of those that are equally close."""
        squares_nn = np.zeros((len(vectors), len(vectors)))
        for _, block_nC in _blocks(vectors):
            for i, j in combinations(range(len(vectors)), 2):
                squares_nn[i, j] += float((block_nC[i] - block_nC[j]).square().sum())
        squares_nn += squares_nn.T
        nearest = len(vectors) - self.byzantine - 2
        # The first of each sorted row is the vector itself, at distance 0.
        scores_n = np.sort(squares_nn, axis=1)[:, 1 : 1 + nearest].sum(axis=1)
        chosen = vectors[int(np.argmin(scores_n))]
        return tensor_of(chosen, vectors[0]).clone()


PARAMETER_FUSIONS: dict[str, type[ParameterFusion]] = {
    "mean": Mean,
    "median": Median,
    "trimmed_mean": TrimmedMean,
    "krum": Krum,
}


def _by_coordinate(vectors: Sequence[Vector], rule: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a rule from `[n, C]` to `[C]` to every block."""
    fused = torch.empty_like(tensor_of(vectors[0], vectors[0]))
    for place, block_nC in _blocks(vectors):
        fused[place] = rule(block_nC)
    return fused


def _blocks(vectors: Sequence[Vector]) -> Iterator[tuple[slice, Tensor]]:
    first = vectors[0]
    for place in _places(len(first), max(1, STACKED // len(vectors))):
        yield place, torch.stack([tensor_of(vector[place], first) for vector in vectors])


def _places(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, length, step))


def _ascending(block_nC: Tensor) -> Tensor:
    return block_nC.sort(dim=0).values


def tensor_of(vector: Vector, like: Vector) -> Tensor:
    """Return a vector as a read-only tensor on another's device; it may share memory with a message."""
    if not isinstance(vector, np.ndarray):
        return vector
    device = torch.device("cpu") if isinstance(like, np.ndarray) else like.device
    values = _shared(vector) if len(vector) >= SHARED else torch.from_numpy(np.array(vector))
    return values if device.type == "cpu" else values.to(device)


def _shared(values: NDArray[np.float32]) -> Tensor:
    """Return a tensor over read-only memory; a copy where the library releases cannot share it."""
    try:
        return torch.utils.dlpack.from_dlpack(values)
    except (BufferError, TypeError, RuntimeError):
        return torch.from_numpy(np.array(values))
