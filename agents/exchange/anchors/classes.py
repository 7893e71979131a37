"""Common part of the strategies that exchange classifications of public anchors.

Legend: N anchors, A anchors in a batch, D width of the exchange, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

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
    to_tensor,
)
from agents.lazy_torch import F, Tensor, torch
from agents.objectives import functional
from protocols.messages import Payload, PseudoLabels

Labels = Literal["clusters", "true"]
LABELS_HELP = (
    "Source of the classes: clusters of the anchors' text, the same for all agents, or the anchors' true "
    "labels, where the data has them."
)


@dataclass
class ClassState(TeacherState["Tensor"]):
    """Teacher `[N, K]`: fused scores or soft labels of the anchors."""


class ClassTeacher(FusedTeacher):
    """A strategy that fuses classifications of the anchors: by default, soft labels.

    An agent scores an anchor by the cosines of its embedding to the mean embedding of each class; see
    `class_cosines`.
    """

    state_type: ClassVar[type[ExchangeState]] = ClassState
    classes: int = Field(16, ge=2, description="Clusters of the anchors, or labels of the data.")
    labels: Labels = Field("clusters", description=LABELS_HELP)
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")

    @property
    def wants_labels(self) -> bool:
        """Return whether the classes are the anchors' true labels."""
        return self.labels == "true"

    def check(self, society: Society) -> None:
        """Refuse more classes than the anchors can fill."""
        super().check(society)
        check_classes(self.classes, society)

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a classifier."""
        return Heads(classes=self.classes)

    def scores(self, learner: Learner, turn: Turn) -> Tensor:
        """Return class scores `[N, K]` of the anchors: cosines over the temperature."""
        return class_scores(learner, turn, self.crops, self.classes, self.temperature)

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return soft labels `[N, K]` of the anchors."""
        return torch.softmax(self.scores(learner, turn), dim=-1)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of soft labels."""
        ((values, weight),) = parts
        return PseudoLabels(probabilities=values.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read soft labels and the number of agents that they represent."""
        assert isinstance(payload, PseudoLabels)
        return [(to_tensor(payload.probabilities, learner), payload.weight)]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a distribution over the classes for every anchor."""
        return Expected(PseudoLabels, {"probabilities": (learner.anchor_count, self.classes)})


def check_classes(classes: int, society: Society) -> None:
    """Refuse more classes than the anchors can fill.

    Raises:
        ValueError: with what to change.
    """
    if society.anchors < 2 * classes:
        raise ValueError(
            f"exchange.classes {classes} needs at least {2 * classes} anchors, and "
            f"data.anchors is {society.anchors}; raise data.anchors or lower exchange.classes"
        )


def class_scores(
    learner: Learner, turn: Turn, crops: int, classes: int, temperature: float
) -> Tensor:
    """Return an agent's class scores `[N, K]` of the anchors: `class_cosines` over the temperature."""
    mean_ND = learner.embed_anchors(crops, turn.round).mean(dim=0)
    embeddings_ND = F.normalize(mean_ND, dim=-1)
    classes_N = torch.from_numpy(learner.anchor_clusters).to(embeddings_ND.device)
    return class_cosines(embeddings_ND, classes_N, classes) / temperature


def class_cosines(embeddings_ND: Tensor, classes_N: Tensor, classes: int) -> Tensor:
    """Return the cosine of each anchor to the mean of each class, the anchor left out of its own.

    Args:
        embeddings_ND: `[N, D]`, normalised.
        classes_N: `[N]` int64, the class of each anchor.
        classes: K.

    Returns:
        `[N, K]`. A class without another member has cosine 0.
    """
    membership_NK = F.one_hot(classes_N, classes).to(embeddings_ND.dtype)
    sums_KD = membership_NK.T @ embeddings_ND
    cosines_NK = embeddings_ND @ F.normalize(sums_KD, dim=-1).T
    others_ND = F.normalize(sums_KD[classes_N] - embeddings_ND, dim=-1)
    own_N1 = (embeddings_ND * others_ND).sum(dim=-1, keepdim=True)
    return torch.where(membership_NK.bool(), own_N1, cosines_NK)


def label_loss(learner: Learner, anchors: AnchorBatch, targets_AK: Tensor) -> Tensor:
    """Return the cross-entropy of the agent's classifier to soft labels, a mean over anchors and views."""
    classify = learner.encoder.classifier
    losses = [
        functional.soft_cross_entropy(classify(pooled), targets_AK) for pooled in anchors.pooled
    ]
    return torch.stack(losses).mean()


def label_divergence(learner: Learner, anchors: AnchorBatch, targets_AK: Tensor) -> Tensor:
    """Return ``KL(targets || own)`` of the agent's classifier: `label_loss` minus the targets' entropy."""
    entropy_A = torch.special.entr(targets_AK).sum(dim=-1)
    divergence: Tensor = label_loss(learner, anchors, targets_AK) - entropy_A.mean()
    return divergence
