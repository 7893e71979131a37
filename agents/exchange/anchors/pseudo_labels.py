"""Pseudo-labels of public anchors, fused from the neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.classes import ClassTeacher, label_loss, received
from agents.exchange.anchors.label_fusion import FUSIONS, LabelFusion, Mean, Votes
from agents.exchange.base import AnchorBatch, Expected, Learner, Turn
from agents.exchange.fusion import Part
from agents.exchange.trust import audit_anchors, without_audit
from agents.lazy_torch import torch
from protocols.messages import LabelVotes, Payload
from protocols.spec import Kinds
from protocols.topologies.hops import Direction

if TYPE_CHECKING:
    from torch import Tensor


class PseudoLabelling(ClassTeacher):
    """Pseudo-labels of anchors: classify them as the neighbours do where they are confident.

    The classes are clusters of the anchors, found once from cheap features of their public text, so they
    mean the same to everybody; or the anchors' true labels. I send soft labels: a softmax over the cosines
    between an anchor and the mean embedding of each class, the anchor itself left out of its class's mean.
    What I receive is fused; where its largest probability reaches `confidence`, a linear classifier on my
    encoder learns it by cross-entropy.

    In a tree, a `fusion` that is made of a mean is averaged on the way up, and every message has one size.
    The others must compare all votes: each parent passes on its subtree's votes side by side
    (`LabelVotes`), so that an edge carries as many soft labels up as there are agents below it. Either way
    the root fuses, and one set of soft labels goes down.

    Source: Li and Wang, FedMD, 2019, with the clusters of Caron et al., DeepCluster, 2018, for classes.
    """

    kind: Literal["pseudo_labels"] = "pseudo_labels"
    confidence: float = Field(
        0.3, ge=0.0, lt=1.0, description="Least fused probability that an anchor is learnt at."
    )
    fusion: Annotated[LabelFusion, Kinds(FUSIONS)] = Field(
        Mean(), description="How the labels of several agents become one."
    )

    @property
    def asynchronous(self) -> bool:
        """Whether the fusion is made of a mean: votes that travel side by side have no weights."""
        return self.fusion.adds_up

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Tensor:
        """Fuse soft labels."""
        probabilities = torch.stack([values for values, _ in parts])
        device, share = probabilities.device, self.fusion.audit_share
        audit = audit_anchors(learner, share) if share else np.zeros(0, dtype=np.int64)
        votes = Votes(
            probabilities,
            torch.tensor([weight for _, weight in parts], device=device),
            torch.from_numpy(learner.anchor_clusters).to(device),
            torch.from_numpy(audit).to(device),
        )
        return self.fusion.fuse(votes)

    def gather(self, parts: Sequence[Part]) -> list[Part]:
        """Return the mean, or all votes where they are to be compared."""
        return super().gather(parts) if self.fusion.adds_up else list(parts)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of soft labels, or of several agents'."""
        if not self._votes(turn):
            return super().pack(parts, turn)
        stacked = torch.stack([values for values, _ in parts])
        return LabelVotes(probabilities=stacked.cpu().numpy())

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read soft labels and the number of agents that they stand for."""
        if isinstance(payload, LabelVotes):
            return [(values, 1.0) for values in received(payload.probabilities, learner)]
        return super().unpack(payload, learner)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a distribution over the classes for every anchor, or several agents'."""
        if self._votes(turn):
            shape = (None, learner.anchor_count, self.classes)
            return Expected(LabelVotes, {"probabilities": shape})
        return super().expects(learner, turn)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to confident fused labels, a mean over the views."""
        teacher_NK = learner.memory.get("teacher")
        if teacher_NK is None:
            return None
        anchors = without_audit(learner, anchors, self.fusion.audit_share)
        targets_AK = teacher_NK[anchors.ids]
        confident = targets_AK.amax(dim=1) >= self.confidence
        if not bool(confident.any()):
            return None
        sure = AnchorBatch(anchors.ids[confident], tuple(p[confident] for p in anchors.pooled))
        return self.ramped_weight(learner) * label_loss(learner, sure, targets_AK[confident])

    def _votes(self, turn: Turn) -> bool:
        return turn.direction is Direction.UP and not self.fusion.adds_up
