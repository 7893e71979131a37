"""The label with the most votes holds."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentos.learning.knowledge.resolvers.base import Ballots, Resolution, Resolver, normalised


class Majority(Resolver):
    """Counts one vote per source, copies included."""

    kind: Literal["majority"] = "majority"

    def resolve(self, ballots: Ballots) -> Resolution:
        """Return the shares of the votes."""
        present_SN = ballots.shares_SNK.sum(axis=2) > 0
        chosen_SNK = np.eye(ballots.shares_SNK.shape[2])[ballots.shares_SNK.argmax(axis=2)]
        votes_NK = (chosen_SNK * present_SN[..., None]).sum(axis=0)
        return Resolution(normalised(votes_NK), np.ones(len(present_SN)))
