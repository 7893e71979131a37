"""Interface of every resolver.

Legend: S sources, N subjects (points that claims are about), K labels, D dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.spec import Spec

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Ballots:
    """Statements of sources about subjects.

    Attributes:
        shares_SNK: `[S, N, K]`, a distribution over labels, or zeros where a source states nothing.
        origins_SN: `[S, N]` int64, equal numbers in a column for sources that rest on the same text.
        times_S: `[S]`, when each source spoke; later ones are newer.
        audit_N: `[N]` int64, the known label of audit anchors, -1 elsewhere.
        points_ND: `[N, D]`, where the subjects lie; None where that is not known.
    """

    shares_SNK: Shares
    origins_SN: NDArray[np.int64]
    times_S: NDArray[np.float64]
    audit_N: NDArray[np.int64]
    points_ND: NDArray[np.float32] | None = None

    def distinct(self) -> Shares:
        """Return weights `[S, N]`: 1 over the number of sources that state the same on one origin.

        A source that states nothing has weight 0. Sources with one origin and different labels keep
        their votes: they read one text differently.
        """
        sources, subjects, _ = self.shares_SNK.shape
        present = self.shares_SNK.sum(axis=2) > 0
        chosen = self.shares_SNK.argmax(axis=2)
        same = np.zeros((sources, subjects), np.int64)
        for other in range(sources):
            same += (
                (self.origins_SN == self.origins_SN[other])
                & (chosen == chosen[other])
                & present[other]
            )
        return np.where(present, 1.0 / np.maximum(same, 1), 0.0)


@dataclass(frozen=True)
class Resolution:
    """Probabilities of the labels `[N, K]`, and the trust in each source `[S]`."""

    shares_NK: Shares
    trust_S: Shares


class Resolver(Spec, ABC):
    """A rule that decides which of several contradicting claims hold."""

    kind: str

    @abstractmethod
    def resolve(self, ballots: Ballots) -> Resolution:
        """Return the probability of each label for each subject; rows sum to one."""


def normalised(scores_NK: Shares) -> Shares:
    """Return rows that sum to one; a row of zeros becomes uniform."""
    totals = scores_NK.sum(axis=-1, keepdims=True)
    uniform = np.full_like(scores_NK, 1.0 / scores_NK.shape[-1])
    rows: Shares = np.divide(scores_NK, totals, out=uniform, where=totals > 0)
    return rows


def softmax(scores_NK: Shares) -> Shares:
    """Return the distribution of each row of log probabilities."""
    powers: Shares = np.exp(scores_NK - scores_NK.max(axis=-1, keepdims=True))
    return normalised(powers)
