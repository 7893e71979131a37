"""Distillation of how my neighbours find the public anchors related."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import AnchorBatch, Expected, Heads, Learner, Turn, once_a_round
from agents.exchange.fusion import FusedTeacher, Part
from agents.exchange.trust import TRUST, Equal, Trust, without_audit
from agents.lazy_torch import torch
from protocols.messages import Payload, SimilarityTargets
from protocols.spec import Kinds

if TYPE_CHECKING:
    from torch import Tensor


class AnchorSimilarity(FusedTeacher):
    """Similarity of anchors: learn which anchors the neighbours' mean finds alike.

    I send ``softmax(cos / temperature)`` between all anchors, the diagonal masked. What I receive is
    averaged into a target, and I learn ``KL(target || own)`` on the anchors of a batch, with the target
    restricted to them. No common axes are needed, so encoders of any width take part; nor is there anything
    that an objective could take for negatives, since a similarity is no vector.

    With ``trust: agreement`` the average leans to those who find the same anchors alike as I do: to
    neighbours among peers, to children in a tree. A parent is always believed.

    Source: similarity-based distillation, Fang et al., SEED, 2021; between federated clients, Makhija et
    al., Architecture Agnostic Federated Learning for Neural Networks, 2022.
    """

    kind: Literal["anchor_similarity"] = "anchor_similarity"
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    trust: Annotated[Trust, Kinds(TRUST)] = Field(
        Equal(), description="How much each of those below or beside me weighs."
    )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for none: similarities have no axes."""
        return Heads()

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the similarity distribution of the anchors' mean embeddings, `[N, N]`."""

        def work() -> Tensor:
            return similarities(learner, turn, self.crops, self.temperature)

        # Kept only where merging needs it again.
        return work() if self.trust.kind == "equal" else once_a_round(learner, turn, "own", work)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of a similarity matrix."""
        ((values, weight),) = parts
        return SimilarityTargets(values=values.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read a similarity matrix and the number of agents that it stands for."""
        assert isinstance(payload, SimilarityTargets)
        values = torch.from_numpy(np.array(payload.values)).to(learner.parameters.device)
        return [(values, payload.weight)]

    def judge(self, learner: Learner, parts: list[Part], turn: Turn) -> list[Part]:
        """Weigh what came by my trust, which leaves the weights as they are where it is equal."""
        heard = [values for values, _ in parts]
        shares = self.trust.shares(learner, lambda: self.summarise(learner, turn), heard)
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
        teacher_NN = learner.memory.get("teacher")
        anchors = without_audit(learner, anchors, self.trust.audit_share)
        if teacher_NN is None or len(anchors.ids) < 3:
            return None
        return self.ramped_weight(learner) * divergence(teacher_NN, anchors, self.temperature)


def similarities(learner: Learner, turn: Turn, crops: int, temperature: float) -> Tensor:
    """Return the similarity distribution of the anchors' mean embeddings, `[N, N]`."""
    from agents.objectives import functional

    mean_ND = learner.embed_anchors(crops, turn.round).mean(dim=0)
    return functional.similarity_distribution(mean_ND, temperature)


def divergence(teacher_NN: Tensor, anchors: AnchorBatch, temperature: float) -> Tensor:
    """Return ``KL(teacher || own)`` on the batch's anchors, to which the teacher is restricted."""
    from agents.objectives import functional

    # Rounding may leave a share on the diagonal, which would cost infinitely much.
    target_AA = teacher_NN[anchors.ids][:, anchors.ids].clamp(min=0.0).fill_diagonal_(0.0)
    target_AA = target_AA / target_AA.sum(dim=1, keepdim=True).clamp(min=1e-12)
    losses = [
        functional.similarity_distillation(pooled, target_AA, temperature)
        for pooled in anchors.pooled
    ]
    return torch.stack(losses).mean()
