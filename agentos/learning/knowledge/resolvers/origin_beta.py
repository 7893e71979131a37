r"""Trust is earned on audit anchors and settled claims, and counted over distinct origins.

Source s is right with probability \(p_s\), whose posterior is Beta(a + right, b + wrong). Where it is
wrong, label k is called l with a probability \(m_{k,l}\) that all sources share: errors have a pattern.
With shares v of a ballot, label k has the likelihood
\(q_k = p v_k + (1 - p) \sum_{l \ne k} v_l m_{k,l}\), and the labels' scores are
\(\sum_s w_s \log q_{s,k}\). The weight w is 1 for a source that is alone; sources whose errors agree, and
sources that state the same on one origin, share a weight of 1.

Where subjects lie in an embedding space, their nearest neighbours are one more source: it states the labels
that the others have by now, its trust is earned as that of any source, and its errors have their own pattern.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentos.learning.knowledge.resolvers.base import (
    Ballots,
    Resolution,
    Resolver,
    Shares,
    normalised,
    softmax,
)
from agents.knowledge.frames import unit

_CHUNK = 512


class OriginBeta(Resolver):
    """Weighs sources by a Beta posterior of how often they are right, a vote per distinct origin."""

    kind: Literal["origin_beta"] = "origin_beta"
    right: float = Field(default=2.0, gt=0, description="prior count of right claims of a source")
    wrong: float = Field(default=1.0, gt=0, description="prior count of wrong claims of a source")
    settled: float = Field(
        default=0.95, gt=0.5, lt=1, description="probability from which on a claim is settled"
    )
    settled_weight: float = Field(
        default=0.2, ge=0, le=1, description="weight of a settled claim relative to an audit anchor"
    )
    alike: float = Field(
        default=0.6, gt=0, le=1, description="share of common errors above which sources are one"
    )
    errors: int = Field(default=5, ge=1, description="common errors that are needed to see this")
    iterations: int = Field(default=5, ge=1, le=100, description="rounds of trust and resolution")
    pattern: float = Field(
        default=5.0,
        gt=0,
        description="prior count of errors about each label, spread over the others",
    )
    neighbours: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="nearest subjects that are a source together; 0: none",
    )
    sharpness: float = Field(
        default=4.0, gt=0, le=100, description="power of what most of the neighbours state"
    )

    def resolve(self, ballots: Ballots) -> Resolution:
        """Alternate between labels and trust; audit anchors keep their known label.

        The trust of the neighbours, where there are any, stands behind that of the sources.
        """
        known_N, sources = ballots.audit_N >= 0, len(ballots.times_S)
        truth_N = np.where(known_N, ballots.audit_N, -1)
        shares_NK = _audited(normalised(ballots.shares_SNK.sum(axis=0)), ballots)
        nearest_NJ = self._nearest(ballots)
        for _ in range(self.iterations):
            given = (
                ballots
                if nearest_NJ is None
                else self._with_neighbours(ballots, shares_NK, nearest_NJ)
            )
            group_S = np.append(self.groups(ballots, truth_N), sources)[: len(given.times_S)]
            trust_S = self.trust(given, truth_N)
            weights_SN = shared(given.distinct(), given, group_S)
            pattern_SKK = self.patterns(given, weights_SN, shares_NK, sources)
            shares_NK = self.weigh(given, trust_S, weights_SN, pattern_SKK)
            sure_N = shares_NK.max(axis=1) >= self.settled
            truth_N = np.where(
                known_N, ballots.audit_N, np.where(sure_N, shares_NK.argmax(axis=1), -1)
            )
            shares_NK = _audited(shares_NK, ballots)
        return Resolution(shares_NK, trust_S)

    def _nearest(self, ballots: Ballots) -> NDArray[np.int64] | None:
        """Return the nearest other subjects of each `[N, J]`; None where there are too few.

        J is at most half the subjects that a label has in the mean: a label that few subjects bear could not
        have more neighbours of its own, and would be outvoted by others around it.
        """
        count = min(self.neighbours, len(ballots.audit_N) // (2 * ballots.shares_SNK.shape[2]))
        if ballots.points_ND is None or count < 1:
            return None
        return nearest_others(ballots.points_ND, count)

    def _with_neighbours(
        self, ballots: Ballots, shares_NK: Shares, nearest_NJ: NDArray[np.int64]
    ) -> Ballots:
        """Return the ballots with one more source: the labels of each subject's nearest others."""
        stated_NK = normalised(shares_NK[nearest_NJ].mean(axis=1) ** self.sharpness)
        return replace(
            ballots,
            shares_SNK=np.concatenate([ballots.shares_SNK, stated_NK[None]]),
            origins_SN=np.concatenate([ballots.origins_SN, np.full((1, len(stated_NK)), -2)]),
            times_S=np.append(ballots.times_S, -np.inf),
        )

    def trust(self, ballots: Ballots, truth_N: NDArray[np.int64]) -> Shares:
        """Return the posterior means `[S]`; audit anchors count 1, settled claims less."""
        judged_N = truth_N >= 0
        counts_N = np.where(ballots.audit_N >= 0, 1.0, self.settled_weight) * judged_N
        present_SN = ballots.shares_SNK.sum(axis=2) > 0
        places = np.maximum(truth_N, 0)
        correct_SN = ballots.shares_SNK[:, np.arange(len(truth_N)), places]
        right_S = (correct_SN * counts_N).sum(axis=1) + self.right
        wrong_S = ((1.0 - correct_SN) * present_SN * counts_N).sum(axis=1) + self.wrong
        trust: Shares = right_S / (right_S + wrong_S)
        return trust

    def groups(self, ballots: Ballots, truth_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the group `[S]` of each source: the first source that it shares its errors with.

        Two sources are one when the errors that both make with the same label are more than `alike` of
        the errors of the one that makes fewer.
        """
        present_SN = ballots.shares_SNK.sum(axis=2) > 0
        chosen_SN = ballots.shares_SNK.argmax(axis=2)
        errors_SN = present_SN & (truth_N >= 0) & (chosen_SN != truth_N)
        group_S = np.arange(len(errors_SN))
        for later in range(len(errors_SN)):
            for first in range(later):
                both = errors_SN[first] & errors_SN[later] & (chosen_SN[first] == chosen_SN[later])
                fewer = min(errors_SN[first].sum(), errors_SN[later].sum())
                if both.sum() >= self.errors and both.sum() > self.alike * fewer:
                    group_S[group_S == group_S[later]] = group_S[first]
        return group_S

    def patterns(
        self, ballots: Ballots, weights_SN: Shares, shares_NK: Shares, sources: int
    ) -> Shares:
        """Return what label k is called where a source is wrong about it, `[S, K, K]`; rows sum to one.

        The first so many sources have one pattern together, and those behind them another.
        """
        stated_SNK = ballots.shares_SNK * weights_SN[..., None]
        counts_SKK = np.einsum("nk,snl->skl", shares_NK, stated_SNK)
        found: Shares = np.zeros_like(counts_SKK)
        for rows in (slice(0, sources), slice(sources, None)):
            counts_KK = counts_SKK[rows].sum(axis=0) + self.pattern / (len(counts_SKK[0]) - 1)
            np.fill_diagonal(counts_KK, 0.0)
            found[rows] = counts_KK / counts_KK.sum(axis=1, keepdims=True)
        return found

    def weigh(
        self, ballots: Ballots, trust_S: Shares, weights_SN: Shares, pattern_SKK: Shares
    ) -> Shares:
        """Return the probabilities `[N, K]` by the weighted log likelihoods."""
        scores_NK = np.zeros(ballots.shares_SNK.shape[1:])
        for shares_NK, trust, weights_N, pattern_KK in zip(
            ballots.shares_SNK, trust_S, weights_SN, pattern_SKK, strict=True
        ):
            likelihood = trust * shares_NK + (1 - trust) * (shares_NK @ pattern_KK.T)
            scores_NK += weights_N[:, None] * np.log(np.maximum(likelihood, 1e-12))
        return softmax(scores_NK)


def _audited(shares_NK: Shares, ballots: Ballots) -> Shares:
    """Return the probabilities with those of audit anchors set to what is known."""
    found, known_N = shares_NK.copy(), ballots.audit_N >= 0
    found[known_N] = np.eye(shares_NK.shape[1])[ballots.audit_N[known_N]]
    return found


def shared(distinct_SN: Shares, ballots: Ballots, group_S: NDArray[np.int64]) -> Shares:
    """Return weights `[S, N]` in which the sources of a group that state something share one vote."""
    weights: Shares = distinct_SN.copy()
    for group in np.unique(group_S):
        members = group_S == group
        totals = distinct_SN[members].sum(axis=0)
        weights[members] /= np.maximum(totals, 1.0)
    return weights


def nearest_others(points_ND: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the rows of the nearest other points by cosine, `[N, min(count, N - 1)]`, nearest first."""
    points_ND, found = unit(points_ND), []
    for start in range(0, len(points_ND), _CHUNK):
        cosines = points_ND[start : start + _CHUNK] @ points_ND.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        found.append(
            np.argsort(-cosines, axis=1, kind="stable")[:, : min(count, len(points_ND) - 1)]
        )
    return np.concatenate(found)
