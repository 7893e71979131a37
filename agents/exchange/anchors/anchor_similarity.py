"""Distillation of the similarities that neighbours find between public anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.fused_teacher import FusedTeacher, Part, TeacherState
from agents.exchange.base import (
    AnchorBatch,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    Turn,
    once_a_round,
    to_tensor,
)
from agents.exchange.trust import TRUST, Equal, Trust, without_audit
from agents.lazy_torch import Tensor, torch
from agents.objectives import functional
from protocols.messages import Payload, SimilarityTargets
from protocols.spec import Kinds


@dataclass
class SimilarityState(TeacherState["Tensor"]):
    """Teacher `[N, N]`, and the agent's own similarities.

    Attributes:
        own: round, and the agent's own similarity distribution `[N, N]` in it.
    """

    own: tuple[int, Tensor] | None = None


class AnchorSimilarity(FusedTeacher):
    """Similarity distillation (SEED, Fang et al. 2021): match the neighbours' mean anchor similarities.

    An agent sends ``softmax(cos / temperature)`` between all anchors, the diagonal masked. Received
    distributions are averaged into a target, and the loss is ``KL(target || own)`` on the anchors of a batch,
    with the target restricted to them. No common axes are needed, so encoders of any width take part; but it
    offers no negatives to objectives, since a similarity is not a vector.

    With ``trust: agreement`` the average leans towards agents whose anchors have similar neighbourhoods: to
    neighbours among peers, to children in a tree. A parent is always trusted.

    Source: similarity-based distillation, Fang et al., SEED, 2021; between federated clients, Makhija et
    al., Architecture Agnostic Federated Learning for Neural Networks, 2022.
    """

    kind: Literal["anchor_similarity"] = "anchor_similarity"
    state_type: ClassVar[type[ExchangeState]] = SimilarityState
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    trust: Annotated[Trust, Kinds(TRUST)] = Field(
        Equal(), description="How much each peer or child weighs."
    )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for none: similarities have no axes."""
        return Heads()

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the similarity distribution of the anchors' mean embeddings, `[N, N]`."""

        def compute() -> Tensor:
            return similarities(learner, turn, self.crops, self.temperature)

        if self.trust.kind == "equal":
            return compute()  # not cached: merging needs it for trust alone
        state = SimilarityState.of(learner)
        state.own = once_a_round(state.own, turn, compute)
        return state.own[1]

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of a similarity matrix."""
        ((values, weight),) = parts
        return SimilarityTargets(values=values.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read a similarity matrix and the number of agents that it represents."""
        assert isinstance(payload, SimilarityTargets)
        return [(to_tensor(payload.values, learner), payload.weight)]

    def judge(self, learner: Learner, parts: list[Part], turn: Turn) -> list[Part]:
        """Reweight matrices by trust; equal trust leaves their weights as they are."""
        received = [values for values, _ in parts]
        shares = self.trust.shares(learner, lambda: self.summarise(learner, turn), received)
        if shares is None:
            return parts
        factors = [share * len(parts) for share in shares]
        return [(values, weight * f) for (values, weight), f in zip(parts, factors, strict=True)]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a square matrix over the anchors."""
        count = learner.anchor_count
        return Expected(SimilarityTargets, {"values": (count, count)})

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the divergence from the teacher on the batch's anchors, a mean over the views."""
        teacher_NN = SimilarityState.of(learner).teacher
        anchors = without_audit(learner, anchors, self.trust.audit_share)
        if teacher_NN is None or len(anchors.ids) < 3:
            return None
        return self.ramped_weight(learner) * divergence(teacher_NN, anchors, self.temperature)


def similarities(learner: Learner, turn: Turn, crops: int, temperature: float) -> Tensor:
    """Return the similarity distribution of the anchors' mean embeddings, `[N, N]`."""
    mean_ND = learner.embed_anchors(crops, turn.round).mean(dim=0)
    return functional.similarity_distribution(mean_ND, temperature)


def divergence(teacher_NN: Tensor, anchors: AnchorBatch, temperature: float) -> Tensor:
    """Return ``KL(teacher || own)`` on the batch's anchors, to which the teacher is restricted."""
    # Rounding may leave probability on the diagonal, where the student has none: an infinite divergence.
    target_AA = teacher_NN[anchors.ids][:, anchors.ids].clamp(min=0.0).fill_diagonal_(0.0)
    target_AA = target_AA / target_AA.sum(dim=1, keepdim=True).clamp(min=1e-12)
    losses = [
        functional.similarity_distillation(pooled, target_AA, temperature)
        for pooled in anchors.pooled
    ]
    return torch.stack(losses).mean()
