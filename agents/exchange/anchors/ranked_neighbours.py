"""Rankings of each anchor's nearest anchors, fused from the neighbours'.

Legend: S rankings, N anchors, A anchors in a batch, L entries of a list, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.fused_teacher import FusedTeacher, Part, TeacherState
from agents.exchange.base import (
    AnchorBatch,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    Society,
    Turn,
    once_a_round,
    to_tensor,
)
from agents.lazy_torch import F, Tensor, torch
from agents.objectives import functional
from protocols.messages import Message, Payload, Rankings
from protocols.topologies.hops import Direction

Ranking = tuple[Tensor, Tensor, Tensor]
"""Ids `[N, L]`, scores `[N, L]` that sum to one in each list, and agreement `[N]`."""


@dataclass
class RankingState(TeacherState[Ranking]):
    """Fused ranking, and the agent's own embeddings that it is compared with.

    Attributes:
        own: round, and the agent's own embeddings `[N, D]` in it.
    """

    own: tuple[int, Tensor] | None = None


class RankedNeighbours(FusedTeacher):
    """Ranked neighbours (ListNet, Cao et al. 2007): rank each anchor's nearest anchors as the neighbours do.

    An agent sends, for each anchor, the ids of its `length` nearest other anchors, and a softmax of their
    cosines over the temperature. Received lists are fused: a candidate's score is the mean of its scores in
    all lists (0 if it is missing), and the best `length` remain. The loss is ListNet's cross-entropy
    between the fused scores and a softmax of the agent's cosines over the same candidates. The candidates'
    embeddings are those that the agent last ranked by, constants; only the anchors of a batch take a
    gradient.

    Anchors on which the neighbours disagree are skipped. The agreement about an anchor is the share of a list
    that two senders have in common, a mean over all pairs of senders: 1 if all lists are equal,
    ``length / (N - 1)`` if they are drawn at random. Anchors below `least_agreement` are not learnt from.
    A single list agrees with itself.

    In a tree lists cannot be averaged without loss: each parent passes on its subtree's side by side, so
    that an edge carries as many lists up as there are agents below it. The root fuses, and one list for
    each anchor, with its agreement, goes down.

    Source: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, 2007 (ListNet, top-one
    probabilities), on the neighbour lists of Park et al., Relational Knowledge Distillation, 2019.
    """

    kind: Literal["ranked_neighbours"] = "ranked_neighbours"
    state_type: ClassVar[type[ExchangeState]] = RankingState
    unprotectable: ClassVar[str] = "rankings"
    length: int = Field(10, ge=2, description="Nearest anchors listed for each anchor.")
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    least_agreement: float = Field(
        0.2,
        ge=0.0,
        le=1.0,
        description="Agreement of the senders below which an anchor is skipped.",
    )

    def check(self, society: Society) -> None:
        """Refuse lists as long as the set of anchors."""
        super().check(society)
        if society.anchors <= self.length:
            raise ValueError(
                f"exchange.length {self.length} needs more anchors than that, and data.anchors is "
                f"{society.anchors}; raise data.anchors or lower exchange.length"
            )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return no heads: rankings have no axes."""
        return Heads()

    @property
    def asynchronous(self) -> bool:
        """Return False: lists have no weights that staleness could lower."""
        return False

    def summarise(self, learner: Learner, turn: Turn) -> Ranking:
        """Return the agent's own lists."""
        return rank(self._embeddings(learner, turn), self.length, self.temperature)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of one or more rankings."""
        ids, scores, agreement = (
            torch.stack(each) for each in zip(*(r for r, _ in parts), strict=True)
        )
        return Rankings(
            ids=ids.to(torch.int32).cpu().numpy(),
            scores=scores.cpu().numpy(),
            agreement=agreement.cpu().numpy(),
        )

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read rankings, their scores made to sum to one."""
        assert isinstance(payload, Rankings)
        ids = to_tensor(payload.ids, learner).long()
        scores = to_tensor(payload.scores, learner)
        # Divided by the largest first: a sender may choose any finite numbers, and their sum may overflow.
        scores = scores / scores.amax(dim=-1, keepdim=True)
        scores = scores / scores.sum(dim=-1, keepdim=True)
        rankings = zip(ids, scores, to_tensor(payload.agreement, learner), strict=True)
        return [(ranking, 1.0) for ranking in rankings]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept one ranking, or those of a subtree."""
        senders = None if turn.direction is Direction.UP else 1
        lists = (senders, learner.anchor_count, self.length)
        return Expected(Rankings, {"ids": lists, "scores": lists, "agreement": lists[:2]})

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Ranking:
        """Return the best candidates of all lists, and how far the lists agree."""
        return fuse([ranking for ranking, _ in parts])

    def gather(self, parts: Sequence[Part]) -> list[Part]:
        """Return all rankings."""
        return list(parts)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Fuse received rankings; embed the anchors, for the candidates to be compared with."""
        if inbox:
            self._embeddings(learner, turn)
        super().merge(learner, inbox, turn)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return ListNet's cross-entropy where the senders agree, a mean over anchors and views."""
        state = RankingState.of(learner)
        if state.teacher is None or state.own is None:
            return None
        ids_AL, targets_AL, agreement_A = (values[anchors.ids] for values in state.teacher)
        agreed = agreement_A >= self.least_agreement
        if not bool(agreed.any()):
            return None
        candidates_ALD = state.own[1][ids_AL[agreed]]
        head = learner.encoder.exchange_head
        losses = [
            functional.list_net(
                head(pooled[agreed]), candidates_ALD, targets_AL[agreed], self.temperature
            )
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(losses).mean()

    def _embeddings(self, learner: Learner, turn: Turn) -> Tensor:
        def embed() -> Tensor:
            return F.normalize(learner.embed_anchors(self.crops, turn.round).mean(dim=0), dim=-1)

        state = RankingState.of(learner)
        state.own = once_a_round(state.own, turn, embed)
        return state.own[1]


def rank(embeddings_ND: Tensor, length: int, temperature: float) -> Ranking:
    """Return the nearest other anchors of each, best first, and a softmax of their cosines.

    Args:
        embeddings_ND: `[N, D]`, normalised, N > length.
        length: L.
        temperature: > 0, divides the cosines.
    """
    cosines_NN = (embeddings_ND @ embeddings_ND.T).fill_diagonal_(float("-inf"))
    best_NL, ids_NL = cosines_NN.topk(length, dim=1)
    return ids_NL, torch.softmax(best_NL / temperature, dim=1), torch.ones_like(best_NL[:, 0])


def fuse(rankings: Sequence[Ranking]) -> Ranking:
    """Return the candidates with the best mean scores, their scores, and the mean overlap of two lists.

    Of S lists about an anchor, the candidates being in ``m`` of them each, two have ``sum m (m - 1) / (S (S
    - 1) L)`` of their entries in common. A single list keeps its agreement.
    """
    ids_NL, scores_NL, agreement_N = rankings[0]
    anchors, length = ids_NL.shape
    total_NN = scores_NL.new_zeros(anchors, anchors)
    named_NN = scores_NL.new_zeros(anchors, anchors)
    for ids, scores, _ in rankings:
        total_NN.scatter_add_(1, ids, scores / len(rankings))
        named_NN.scatter_add_(1, ids, torch.ones_like(scores))
    best_NL, fused_NL = total_NN.topk(length, dim=1)
    if len(rankings) > 1:
        pairs = len(rankings) * (len(rankings) - 1) * length
        agreement_N = (named_NN * (named_NN - 1)).sum(dim=1) / pairs
    return fused_NL, best_NL / best_NL.sum(dim=1, keepdim=True), agreement_N
