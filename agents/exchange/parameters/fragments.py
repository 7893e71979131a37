"""Fragments of a flat parameter vector, which are exchanged one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from agents.lazy_torch import Tensor, torch
from protocols.errors import ConfigurationError

if TYPE_CHECKING:
    from agents.models.flat_parameters import Slot

Pattern = Literal["sequential", "strided"]
Place = tuple[int, int]
"""Start and end of a run of elements in the flat vector."""

_LINE = 16
"""Elements of a cache line, on which every parameter starts: see `agents.models.flat_parameters`."""


@dataclass(frozen=True)
class Fragment:
    """A part of a flat parameter vector.

    Attributes:
        places: its runs of elements, ascending, none touching the next.
    """

    places: tuple[Place, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return sum(end - start for start, end in self.places)

    def read(self, flat: Tensor) -> Tensor:
        """Return this part of a vector `[P]`: a view if it is one run, else a copy."""
        if len(self.places) == 1:
            start, end = self.places[0]
            return flat[start:end]
        return torch.cat([flat[start:end] for start, end in self.places])

    def write(self, flat: Tensor, values: Tensor) -> None:
        """Replace this part of a vector `[P]`."""
        at = 0
        for start, end in self.places:
            flat[start:end] = values[at : at + end - start]
            at += end - start


@lru_cache(maxsize=64)
def fragments_of(slots: tuple[Slot, ...], count: int, pattern: Pattern) -> tuple[Fragment, ...]:
    """Cut a parameter layout into fragments that hold each element once.

    The layers are put in the order of the model, each with its matrices, biases and norms, and the row of
    them is cut into pieces of equal size, to a cache line. ``sequential`` makes each piece a fragment;
    ``strided`` cuts about as many pieces as there are layers, and deals them to the fragments in turn. So no
    message is larger than its share, even where most numbers of a small encoder are in its embeddings.

    Args:
        slots: the layout's slots, in the order of the flat vector.
        count: number of fragments.
        pattern: which pieces make a fragment.

    Raises:
        ConfigurationError: there are too few parameters for so many fragments.
    """
    layers: dict[str, list[Place]] = {}
    for slot in slots:
        padded = -(-slot.length // _LINE) * _LINE
        layers.setdefault(_layer(slot.name), []).append((slot.start, slot.start + padded))
    row = [place for layer in layers.values() for place in layer]
    pieces = count * max(1, -(-len(layers) // count) if pattern == "strided" else 1)
    lines = sum(end - start for start, end in row) // _LINE
    if lines < pieces:
        raise ConfigurationError(
            "exchange.fragments is too large for the trained parameters",
            expected=f"at most {lines}",
            actual=pieces,
            hint="lower exchange.fragments, or train more parameters",
        )
    cuts = [_LINE * (lines * piece // pieces) for piece in range(pieces + 1)]
    cut = [_between(row, start, end) for start, end in pairwise(cuts)]
    return tuple(
        Fragment(_joined(place for piece in cut[first::count] for place in piece))
        for first in range(count)
    )


def _layer(name: str) -> str:
    """Return the layer of a parameter: its name up to the first number, or else its first two parts."""
    numbered = re.match(r".*?\.\d+(?=\.)", name)
    return numbered[0] if numbered else ".".join(name.split(".")[:2])


def _between(row: Iterable[Place], first: int, last: int) -> list[Place]:
    """Return what lies between two positions of a row of places."""
    found, at = [], 0
    for start, end in row:
        low, high = max(first - at, 0), min(last - at, end - start)
        if low < high:
            found.append((start + low, start + high))
        at += end - start
    return found


def _joined(places: Iterable[Place]) -> tuple[Place, ...]:
    """Return places in ascending order, those that touch as one."""
    joined: list[Place] = []
    for start, end in sorted(places):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
