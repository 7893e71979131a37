"""Distillation of how my neighbours find the public anchors related."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import AnchorBatch, Expected, Heads, Learner, Turn
from agents.exchange.fusion import FusedTeacher, Weighted
from agents.lazy import torch
from protocols.messages import Payload, SimilarityTargets

if TYPE_CHECKING:
    from torch import Tensor


class AnchorSimilarity(FusedTeacher):
    """Similarity of anchors: learn which anchors the neighbours' mean finds alike.

    I send ``softmax(cos / temperature)`` between all anchors, the diagonal masked. What I receive is
    averaged into a target, and I learn ``KL(target || own)`` on the anchors of a batch, with the target
    restricted to them. No common axes are needed, so encoders of any width take part.

    Source: similarity-based distillation, Fang et al., SEED, 2021; between federated clients, Makhija et
    al., Architecture Agnostic Federated Learning for Neural Networks, 2022.
    """

    kind: Literal["anchor_similarity"] = "anchor_similarity"
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for none: similarities have no axes."""
        return Heads()

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the similarity distribution of the anchors' mean embeddings, `[N, N]`."""
        from agents.objectives import functional

        mean_ND = learner.embed_anchors(self.crops, turn.round).mean(dim=0)
        return functional.similarity_distribution(mean_ND, self.temperature)

    def pack(self, summary: Tensor, weight: float) -> Payload:
        """Make a payload of a similarity matrix."""
        return SimilarityTargets(values=summary.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> Weighted:
        """Read a similarity matrix and the number of agents that it stands for."""
        assert isinstance(payload, SimilarityTargets)
        values = torch.from_numpy(np.array(payload.values)).to(learner.parameters.device)
        return values, payload.weight

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a square matrix over the anchors."""
        count = learner.anchor_count
        return Expected(SimilarityTargets, {"values": (count, count)})

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the divergence from the teacher on the batch's anchors, a mean over the views."""
        from agents.objectives import functional

        teacher_NN = learner.memory.get("teacher")
        if teacher_NN is None:
            return None
        # A neighbour may send any finite numbers: a share on the diagonal would cost infinitely much.
        target_AA = teacher_NN[anchors.ids][:, anchors.ids].clamp(min=0.0).fill_diagonal_(0.0)
        target_AA = target_AA / target_AA.sum(dim=1, keepdim=True).clamp(min=1e-12)
        losses = [
            functional.similarity_distillation(pooled, target_AA, self.temperature)
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(losses).mean()
