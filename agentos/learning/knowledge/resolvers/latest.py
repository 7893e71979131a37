"""The newest claim holds."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agentos.learning.knowledge.resolvers.base import Ballots, Resolution, Resolver, normalised


class Latest(Resolver):
    """Takes what the newest source states, as a table that overwrites does."""

    kind: Literal["latest"] = "latest"

    def resolve(self, ballots: Ballots) -> Resolution:
        """Return the newest ballot of each subject; of equal times, that of the last source."""
        result = np.zeros(ballots.shares_SNK.shape[1:])
        for source in np.argsort(ballots.times_S, kind="stable"):
            stated = ballots.shares_SNK[source].sum(axis=1) > 0
            result[stated] = ballots.shares_SNK[source][stated]
        return Resolution(normalised(result), np.ones(len(ballots.times_S)))
