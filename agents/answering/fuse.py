"""Fusion of several agents' answers into one, over distinct origins.

An origin is the digest of an agent's weights. Answers of copies are averaged into one vote first, so that
three copies of one bad source count once. What a fusion learns, it learns on out-of-fold answers to the split
``fit``.

Legend: S distinct origins, N texts, E texts of the split ``fit``, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Answers, Labels, Rows, check_evidence
from agents.answering.pool import Pool, TrainedFusion
from agents.answering.stacking import Stacking
from agents.exchange.anchors.label_fusion import FUSIONS as LABEL_FUSIONS
from agents.exchange.anchors.label_fusion import LabelFusion, Votes
from agents.lazy_torch import torch
from protocols.errors import ConfigurationError

FUSIONS: dict[str, type[LabelFusion]] = {
    **LABEL_FUSIONS,
    "stacking": Stacking,
}

Source = tuple[str, ...]
"""The origins of an answer, in order."""


@dataclass(frozen=True)
class VotePool(Pool):
    """A label fusion, which sees the texts of the split ``fit`` as well as those to fuse.

    Attributes:
        fusion: the label fusion.
        evidence: `[S, E, K]`, answers to the texts of the split ``fit``.
        labels: `[E]`, their labels, for fusions that measure agents.
    """

    fusion: LabelFusion
    evidence: Rows
    labels: Labels

    def pool(self, votes_SNK: Rows, present_S: NDArray[np.bool_]) -> Rows:
        """Fuse by the label fusion, every origin with weight 1."""
        joined = np.concatenate([self.evidence[present_S], votes_SNK[present_S]], axis=1)
        known, added = len(self.labels), votes_SNK.shape[1]
        votes = Votes(
            torch.from_numpy(joined),
            torch.ones(len(joined), dtype=torch.float64),
            torch.from_numpy(np.concatenate([self.labels, np.zeros(added, np.int64)])),
            torch.arange(known),
        )
        fused: Rows = self.fusion.fuse(votes).double().numpy()[known:]
        shares: Rows = fused / fused.sum(axis=1, keepdims=True)
        return shares


@dataclass(frozen=True)
class FittedFusion:
    """A fusion that is ready to fuse answers of the agents that it was fitted to.

    Attributes:
        pool: what was fitted.
        sources: the origins of each vote, in order.
        flops: FLOPs to fuse the answers to one text, approximately.
    """

    pool: Pool
    sources: tuple[Source, ...]
    flops: float

    def fuse(self, answers: Sequence[Answers]) -> Answers:
        """Fuse answers to the same texts; in any order of agents.

        An agent that is missing, or that abstains, has no vote. Where none is left, all classes are equally
        probable and the fused answer is an abstention.

        Raises:
            ConfigurationError: the answers are of unknown origin, or not about the same texts.
        """
        _check_texts(answers)
        votes = distinct(answers)
        if strangers := sorted(set(votes) - set(self.sources)):
            raise ConfigurationError(
                "an answer is of an origin that the fusion was not fitted to",
                expected=[source[0][:12] for source in self.sources],
                actual=[source[0][:12] for source in strangers],
                hint="fit the fusion again, with out-of-fold answers of every agent",
            )
        first = answers[0]
        shape = (len(self.sources), *first.probabilities.shape)
        votes_SNK, present_SN = np.ones(shape), np.zeros(shape[:2], bool)
        for place, source in enumerate(self.sources):
            if source in votes:
                votes_SNK[place], present_SN[place] = votes[source]
        fused = np.full(shape[1:], 1 / shape[2])
        # Few patterns of who answered, many texts: one pool for each pattern.
        patterns, pattern_N = np.unique(present_SN, axis=1, return_inverse=True)
        for index, present_S in enumerate(patterns.T):
            rows = np.flatnonzero(pattern_N.reshape(-1) == index)
            if present_S.any():
                fused[rows] = self.pool.pool(votes_SNK[:, rows], present_S)
        in_sample: NDArray[np.bool_] = np.logical_or.reduce([a.in_sample for a in answers])
        silent: NDArray[np.bool_] = ~np.logical_or.reduce(present_SN)
        origins = tuple(sorted({origin for source in votes for origin in source}))
        return Answers(first.split, first.ids, fused, silent, in_sample, origins)


def fit_fusion(fusion: LabelFusion, answers: Sequence[Answers], labels: Labels) -> FittedFusion:
    """Fit a fusion to out-of-fold answers to the split ``fit``.

    Args:
        fusion: how to fuse.
        answers: those of each agent, to the same texts.
        labels: `[E]`, of these texts.

    Raises:
        ConfigurationError: the answers must not be learnt from, or rest on overlapping origins.
    """
    check_evidence(answers, labels, "fit")
    votes = distinct(answers)
    sources = tuple(sorted(votes))
    evidence_SEK = np.stack([votes[source][0] for source in sources])
    if isinstance(fusion, TrainedFusion):
        pool: Pool = fusion.fit(evidence_SEK, labels)
    else:
        pool = VotePool(fusion, evidence_SEK, labels)
    agents, _, classes = evidence_SEK.shape
    return FittedFusion(pool, sources, 2.0 * agents * classes * (classes + 2))


def distinct(answers: Sequence[Answers]) -> dict[Source, tuple[Rows, NDArray[np.bool_]]]:
    """Return one vote for each distinct origin: probabilities `[N, K]`, and where there are any `[N]`.

    Copies of one origin are averaged where they do not abstain.

    Raises:
        ConfigurationError: two answers share some of their origins, but not all.
    """
    copies: dict[Source, list[Answers]] = {}
    for found in answers:
        copies.setdefault(tuple(sorted(set(found.origins))), []).append(found)
    named = [origin for source in copies for origin in source]
    if len(set(named)) < len(named):
        raise ConfigurationError(
            "two answers rest in part on the same weights, which would count twice",
            expected="answers of the same origins, or of different ones",
            actual=sorted(origin[:12] for origin in set(named) if named.count(origin) > 1),
            hint="fuse the agents' own answers, not answers that are fused already",
        )
    return {source: _average(group) for source, group in copies.items()}


def _average(copies: Sequence[Answers]) -> tuple[Rows, NDArray[np.bool_]]:
    votes = np.stack([found.probabilities for found in copies])
    speaks = np.stack([~found.abstains for found in copies])
    anyone: NDArray[np.bool_] = np.logical_or.reduce(speaks)
    shares = np.where(anyone, speaks, True).astype(np.float64)
    return np.einsum("cn,cnk->nk", shares / shares.sum(axis=0), votes), anyone


def _check_texts(answers: Sequence[Answers]) -> None:
    if not answers or any(not np.array_equal(a.ids, answers[0].ids) for a in answers):
        raise ConfigurationError(
            "answers to different texts cannot be fused",
            expected="answers of at least one agent, all to the same texts in the same order",
            actual=[len(found.ids) for found in answers],
            hint="order answers by id, and let agents abstain where they have none",
        )
