"""Stores that are searched for claims: the interface of a table of claims, and one in memory, the reference.

A store is a view of the log. It can be thrown away: `sync` makes it equal to the state again, after any
crash.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.knowledge.claims import Claim
from agents.knowledge.frames import unit

EXACT_UP_TO = 100_000
"""Rows of a frame up to which a search compares with every claim."""


class Row(NamedTuple):
    """Identity of a stored claim in its present form."""

    digest: str
    status: str


class Neighbours(NamedTuple):
    """The nearest claims of each query: digests `[Q][k]` and cosines `[Q, k]`, nearest first."""

    digests: list[list[str]]
    cosines: NDArray[np.float32]


class ClaimStore(ABC):
    """A table of claims for each frame, searched by cosine."""

    @abstractmethod
    def rows(self) -> set[Row]:
        """Return the stored claims of all frames."""

    @abstractmethod
    def put(self, claims: Iterable[Claim]) -> None:
        """Store claims; one of the same digest is replaced."""

    @abstractmethod
    def drop(self, digests: Iterable[str]) -> None:
        """Remove claims; digests that are not stored are passed over."""

    @abstractmethod
    def nearest(self, frame: str, queries: NDArray[np.float32], k: int) -> Neighbours:
        """Return the ``min(k, rows)`` nearest accepted claims of a frame; of equal cosines, any."""

    @abstractmethod
    def version(self, frame: str) -> int:
        """Return a number that grows with every change of a frame, 0 before the first."""

    @abstractmethod
    def compact(self) -> None:
        """Free the space of rows that were replaced or removed, and refresh the index."""

    def close(self) -> None:  # noqa: B027 - only some stores hold something
        """Release what the store holds."""

    def sync(self, claims: Iterable[Claim]) -> None:
        """Make the store hold exactly these claims, changing only what differs."""
        wanted = {Row(claim.digest, claim.status): claim for claim in claims}
        held = self.rows()
        kept = {row.digest for row in wanted}
        self.drop(sorted({row.digest for row in held} - kept))
        self.put([claim for row, claim in wanted.items() if row not in held])


class MemoryStore(ClaimStore):
    """Claims in memory, searched exactly."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._versions: dict[str, int] = {}

    def rows(self) -> set[Row]:
        """Return the stored claims."""
        return {Row(claim.digest, claim.status) for claim in self._claims.values()}

    def put(self, claims: Iterable[Claim]) -> None:
        """Store claims."""
        for claim in claims:
            self._claims[claim.digest] = claim
            self._versions[claim.frame] = self.version(claim.frame) + 1

    def drop(self, digests: Iterable[str]) -> None:
        """Remove claims."""
        for digest in digests:
            if (claim := self._claims.pop(digest, None)) is not None:
                self._versions[claim.frame] = self.version(claim.frame) + 1

    def nearest(self, frame: str, queries: NDArray[np.float32], k: int) -> Neighbours:
        """Compare every query with every accepted claim of the frame."""
        found = sorted(
            (c for c in self._claims.values() if c.frame == frame and c.status == "accepted"),
            key=lambda claim: claim.digest,
        )
        if not found:
            return Neighbours([[] for _ in queries], np.zeros((len(queries), 0), np.float32))
        cosines = unit(queries) @ unit(np.stack([claim.embedding for claim in found])).T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        names = [[found[place].digest for place in row] for row in order]
        return Neighbours(names, np.take_along_axis(cosines, order, axis=1))

    def version(self, frame: str) -> int:
        """Return the number of changes of a frame."""
        return self._versions.get(frame, 0)

    def compact(self) -> None:
        """Do nothing: memory holds no old rows."""
