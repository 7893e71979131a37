"""Pseudo-labels of public anchors, fused from the neighbours'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.classes import ClassState, ClassTeacher, label_loss, taught_classifier
from agents.exchange.anchors.fused_teacher import Part
from agents.exchange.anchors.label_fusion import FUSIONS, LabelFusion, Mean, Votes
from agents.exchange.base import AnchorBatch, Expected, Learner, Society, Turn, to_tensor
from agents.exchange.trust import audit_anchors, without_audit
from agents.lazy_torch import Tensor, torch
from protocols.messages import LabelVotes, Payload
from protocols.spec import Kinds
from protocols.topologies.hops import Direction


class PseudoLabelExchange(ClassTeacher):
    """Pseudo-labels (after FedMD, Li & Wang 2019): learn the neighbours' confident labels of the anchors.

    The classes are clusters of the anchors, found once from cheap features of their public text, so they mean
    the same to all agents; or the anchors' true labels. An agent sends soft labels: a softmax over the
    cosines between an anchor and the mean embedding of each class, the anchor itself left out of its class's
    mean. With ``labels: own`` the classes are labels of the data, and each agent knows a few
    (`data.private_labels`): the means are those of its own labelled documents, and the classifier is that of
    the objective ``labelled``. Votes thus come from own labels alone; votes of the classifier that learns the
    fused labels would confirm each other from round to round, until few classes are left. An agent whose
    highest probability is below `abstain` sends a uniform label, and `balance` keeps frequent classes from
    crowding out the others.

    Received labels are fused; where the largest probability reaches `confidence`, a linear classifier
    on the encoder learns the fused label by cross-entropy.

    In a tree, a `fusion` based on the mean is averaged while messages go up, and every message has one size.
    The others must compare all votes: each parent passes on its subtree's votes side by side (`LabelVotes`),
    so that an edge carries as many soft labels up as there are agents below it. Either way the root fuses,
    and one set of soft labels goes down.

    Source: Li and Wang, FedMD, 2019, with the clusters of Caron et al., DeepCluster, 2018, for classes.
    """

    kind: Literal["pseudo_labels"] = "pseudo_labels"
    confidence: float = Field(
        0.3, ge=0.0, lt=1.0, description="Lowest fused probability at which an anchor is learnt."
    )
    abstain: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Highest probability below which an agent abstains: it sends a uniform label.",
    )
    balance: bool = Field(
        False,
        description="Divide the fused labels by the mean probability of each class, so that no class crowds "
        "out the others.",
    )
    fusion: Annotated[LabelFusion, Kinds(FUSIONS)] = Field(
        Mean(), description="Rule that fuses the labels of several agents."
    )

    def check(self, society: Society) -> None:
        """Refuse a fusion that cannot read these labels."""
        super().check(society)
        kind = self.fusion.kind
        if self.abstain and not self.fusion.reads_probabilities:
            raise ValueError(
                f"exchange.abstain makes votes uniform, and the fusion {kind} reads each as a vote for the "
                "first class; set exchange.abstain to 0, or fuse by mean"
            )
        if self.fusion.audit_share and self.labels == "own":
            raise ValueError(
                f"the fusion {kind} needs public classes of the anchors, and with exchange.labels own "
                "there are none; choose another exchange.fusion"
            )

    @property
    def asynchronous(self) -> bool:
        """Return whether the fusion is based on the mean: votes side by side have no weights."""
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
        fused_NK = self.fusion.fuse(votes)
        return balanced(fused_NK) if self.balance else fused_NK

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return soft labels `[N, K]` of the anchors, uniform where the agent abstains."""
        labels_NK = super().summarise(learner, turn)
        sure_N1 = labels_NK.amax(dim=1, keepdim=True) >= self.abstain
        return torch.where(sure_N1, labels_NK, 1.0 / self.classes)

    def gather(self, parts: Sequence[Part]) -> list[Part]:
        """Return the mean, or all votes where the fusion compares them."""
        return super().gather(parts) if self.fusion.adds_up else list(parts)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of soft labels, or of several agents' soft labels."""
        if not self._sends_votes(turn):
            return super().pack(parts, turn)
        stacked = torch.stack([values for values, _ in parts])
        return LabelVotes(probabilities=stacked.cpu().numpy())

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read soft labels and the number of agents that they represent."""
        if isinstance(payload, LabelVotes):
            return [(values, 1.0) for values in to_tensor(payload.probabilities, learner)]
        return super().unpack(payload, learner)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a distribution over the classes for every anchor, or those of several agents."""
        if self._sends_votes(turn):
            shape = (None, learner.anchor_count, self.classes)
            return Expected(LabelVotes, {"probabilities": shape})
        return super().expects(learner, turn)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to confident fused labels, a mean over the views."""
        teacher_NK = ClassState.of(learner).teacher
        if teacher_NK is None:
            return None
        anchors = without_audit(learner, anchors, self.fusion.audit_share)
        targets_AK = teacher_NK[anchors.ids]
        confident = targets_AK.amax(dim=1) >= self.confidence
        if not bool(confident.any()):
            return None
        sure = AnchorBatch(anchors.ids[confident], tuple(p[confident] for p in anchors.pooled))
        return self.ramped_weight(learner) * label_loss(
            taught_classifier(self, learner), sure, targets_AK[confident]
        )

    def _sends_votes(self, turn: Turn) -> bool:
        return turn.direction is Direction.UP and not self.fusion.adds_up


def balanced(labels_NK: Tensor) -> Tensor:
    """Return labels divided by the mean probability of each class, rows summing to one again.

    Source: distribution alignment of Berthelot et al., ReMixMatch, 2020, with uniform classes as its target.

    Example:
        >>> balanced(torch.tensor([[0.9, 0.1], [0.6, 0.4]]))[1]
        tensor([0.3333, 0.6667])
    """
    scaled_NK = labels_NK / labels_NK.mean(dim=0).clamp(min=1e-12)
    return scaled_NK / scaled_NK.sum(dim=1, keepdim=True)
