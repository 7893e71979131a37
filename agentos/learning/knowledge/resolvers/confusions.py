"""Each source has a matrix of confusions, estimated with the truth by expectation-maximisation."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agentos.learning.knowledge.resolvers.base import Ballots, Resolution, Resolver, softmax


class DawidSkene(Resolver):
    """Estimates each source's confusions and the truth in turn; sources may state nothing.

    Source: Dawid and Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM
    Algorithm, 1979.
    """

    kind: Literal["dawid_skene"] = "dawid_skene"
    iterations: int = Field(default=30, ge=1, le=1000, description="rounds of both steps")
    smoothing: float = Field(default=0.1, gt=0, description="added to every count of a confusion")

    def resolve(self, ballots: Ballots) -> Resolution:
        """Return the posterior, from the shares of the votes on."""
        present_SN = ballots.shares_SNK.sum(axis=2) > 0
        classes = ballots.shares_SNK.shape[2]
        votes_SNK = np.eye(classes)[ballots.shares_SNK.argmax(axis=2)] * present_SN[..., None]
        posterior_NK = (votes_SNK.sum(axis=0) + 1e-12) / (
            votes_SNK.sum(axis=(0, 2)) + classes * 1e-12
        )[:, None]
        for _ in range(self.iterations):
            counts_SCK = np.einsum("nc,snk->sck", posterior_NK, votes_SNK) + self.smoothing
            confusion_SCK = counts_SCK / counts_SCK.sum(axis=2, keepdims=True)
            prior_C = posterior_NK.mean(axis=0) + 1e-12
            scores_NC = np.log(prior_C) + np.einsum("sck,snk->nc", np.log(confusion_SCK), votes_SNK)
            posterior_NK = softmax(scores_NC)
        diagonal_SC = np.einsum("scc->sc", confusion_SCK)
        return Resolution(posterior_NK, diagonal_SC @ prior_C / prior_C.sum())
