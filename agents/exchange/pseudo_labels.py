"""Pseudo-labels of public anchors, fused from the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import AnchorBatch, Expected, Heads, Learner, Society, Turn
from agents.exchange.fusion import FusedTeacher, Weighted
from agents.lazy import F, torch
from protocols.messages import Payload, PseudoLabels

if TYPE_CHECKING:
    from torch import Tensor


class PseudoLabelling(FusedTeacher):
    """Pseudo-labels of anchors: classify them as the neighbours do where they are confident.

    The classes are clusters of the anchors, found once from cheap features of their public text, so they
    mean the same to everybody. I send soft labels: a softmax over the cosines between an anchor and the
    mean embedding of each class, the anchor itself left out of its class's mean. What I receive is
    averaged; where its largest probability reaches `confidence`, a linear classifier on my encoder learns
    it by cross-entropy.

    Source: Li and Wang, FedMD, 2019, with the clusters of Caron et al., DeepCluster, 2018, for classes.
    """

    kind: Literal["pseudo_labels"] = "pseudo_labels"
    classes: int = Field(16, ge=2, description="Clusters of the anchors.")
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    confidence: float = Field(
        0.3, ge=0.0, lt=1.0, description="Least fused probability that an anchor is learnt at."
    )

    def check(self, society: Society) -> None:
        """Refuse more classes than the anchors can fill."""
        super().check(society)
        if society.anchors < 2 * self.classes:
            raise ValueError(
                f"exchange.classes {self.classes} needs at least {2 * self.classes} anchors, and "
                f"data.anchors is {society.anchors}; raise data.anchors or lower exchange.classes"
            )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a classifier."""
        return Heads(classes=self.classes)

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return soft labels `[N, K]` of the anchors."""
        embeddings_ND = F.normalize(
            learner.embed_anchors(self.crops, turn.round).mean(dim=0), dim=-1
        )
        clusters = torch.from_numpy(learner.anchor_clusters).to(embeddings_ND.device)
        return soft_labels(embeddings_ND, clusters, self.classes, self.temperature)

    def pack(self, summary: Tensor, weight: float) -> Payload:
        """Make a payload of soft labels."""
        return PseudoLabels(probabilities=summary.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> Weighted:
        """Read soft labels and the number of agents that they stand for."""
        assert isinstance(payload, PseudoLabels)
        values = torch.from_numpy(np.array(payload.probabilities)).to(learner.parameters.device)
        return values, payload.weight

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a distribution over the classes for every anchor."""
        return Expected(PseudoLabels, {"probabilities": (learner.anchor_count, self.classes)})

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to confident fused labels, a mean over the views."""
        from agents.objectives import functional

        teacher_NK = learner.memory.get("teacher")
        if teacher_NK is None:
            return None
        targets_AK = teacher_NK[anchors.ids]
        confident = targets_AK.amax(dim=1) >= self.confidence
        if not bool(confident.any()):
            return None
        classify = learner.encoder.classifier
        losses = [
            functional.soft_cross_entropy(classify(pooled[confident]), targets_AK[confident])
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(losses).mean()


def soft_labels(
    embeddings_ND: Tensor, clusters_N: Tensor, classes: int, temperature: float
) -> Tensor:
    """Classify each anchor by its cosine to the class means, leaving it out of its own.

    Args:
        embeddings_ND: `[N, D]`, normalised.
        clusters_N: `[N]` int64, the class of each anchor.
        classes: K.
        temperature: divides the cosines.

    Returns:
        `[N, K]`, rows sum to one. A class with nobody else in it has cosine 0.
    """
    membership_NK = F.one_hot(clusters_N, classes).to(embeddings_ND.dtype)
    sums_KD = membership_NK.T @ embeddings_ND
    cosines_NK = embeddings_ND @ F.normalize(sums_KD, dim=-1).T
    others_ND = F.normalize(sums_KD[clusters_N] - embeddings_ND, dim=-1)
    own_N1 = (embeddings_ND * others_ND).sum(dim=-1, keepdim=True)
    cosines_NK = torch.where(membership_NK.bool(), own_N1, cosines_NK)
    return torch.softmax(cosines_NK / temperature, dim=-1)
