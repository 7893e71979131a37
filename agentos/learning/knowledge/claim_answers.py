"""Answers by claims, and the share of them that a change of claims changes.

Legend: N points, D dimensions, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.learning.knowledge.claim_work import ClaimWork
from agentos.learning.knowledge.config import Knn
from agents.knowledge.claims import Claim
from agents.knowledge.frames import Points
from agents.knowledge.nearest_claims import label_shares, neighbour_shares, points_of, votes_of


@dataclass(frozen=True)
class ClaimAnswers:
    """Answers by the nearest claims.

    Attributes:
        names: names of the labels, in the order of the classes.
        use: how answers draw on claims.
        work: where comparisons are counted.
    """

    names: Sequence[str]
    use: Knn
    work: ClaimWork

    def shares(self, points_ND: Points, claims: Sequence[Claim]) -> NDArray[np.float64]:
        """Return the probability of each label `[N, K]`."""
        width = points_ND.shape[1]
        self.work.compared(len(points_ND), len(claims), width)
        return neighbour_shares(
            points_ND,
            points_of(claims, width),
            label_shares(claims, self.names),
            self.use.k,
            self.use.temperature,
            votes_of(claims, self.use.k),
        )

    def changed(
        self, before: tuple[Points, Sequence[Claim]], after: tuple[Points, Sequence[Claim]]
    ) -> float:
        """Return the share of answers about the same points that differ."""
        old, new = (self.shares(*each).argmax(axis=1) for each in (before, after))
        return float((old != new).mean()) if len(old) else 0.0
