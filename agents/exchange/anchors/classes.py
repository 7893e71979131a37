"""Common part of the strategies that exchange classifications of public anchors.

Legend: N anchors, A anchors in a batch, D width of the exchange, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

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
from agents.lazy_torch import F, Tensor, nn, torch
from agents.objectives import functional
from agents.objectives.labelled import LABEL_HEAD
from protocols.messages import Payload, PseudoLabels

Labels = Literal["clusters", "true", "own"]
LABELS_HELP = (
    "Source of the classes: clusters of the anchors' text, the same for all agents; true, the anchors' true "
    "labels, if the data has labels; own, what each agent's own labels have taught it (data.private_labels), "
    "so that the anchors need no labels."
)


class Classification(Protocol):
    """The fields of a strategy that decide how an agent classifies anchors."""

    @property
    def crops(self) -> int:
        """Random crops of every anchor."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    @property
    def labels(self) -> Labels:
        """Source of the classes."""

    @property
    def temperature(self) -> float:
        """Divisor of the cosines."""


@dataclass
class ClassState(TeacherState["Tensor"]):
    """Teacher `[N, K]`: fused scores or soft labels of the anchors."""


class ClassTeacher(FusedTeacher):
    """A strategy that fuses classifications of the anchors: by default, soft labels.

    An agent scores an anchor by the cosines of its embedding to the mean embedding of each class
    (`class_cosines`), or of the documents whose label it alone knows (`own_label_cosines`).
    """

    state_type: ClassVar[type[ExchangeState]] = ClassState
    classes: int = Field(16, ge=2, description="Clusters of the anchors, or labels of the data.")
    labels: Labels = Field("clusters", description=LABELS_HELP)
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")

    @property
    def wants_labels(self) -> bool:
        """Return whether the classes are the anchors' true labels."""
        return self.labels == "true"

    @property
    def wants_own_labels(self) -> int:
        """Number of classes of the agents' own labels; 0 where the classes are others."""
        return self.classes if self.labels == "own" else 0

    def check(self, society: Society) -> None:
        """Refuse more classes than the anchors can fill."""
        super().check(society)
        check_classes(self.classes, society)

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a classifier, unless the objective that learns own labels has one."""
        return Heads(classes=0 if self.labels == "own" else self.classes)

    def scores(self, learner: Learner, turn: Turn) -> Tensor:
        """Return class scores `[N, K]` of the anchors."""
        return class_scores(self, learner, turn)

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
        ValueError: the classes do not fit; the text says what to change.
    """
    if society.anchors < 2 * classes:
        raise ValueError(
            f"exchange.classes {classes} needs at least {2 * classes} anchors, and "
            f"data.anchors is {society.anchors}; raise data.anchors or lower exchange.classes"
        )


def class_scores(strategy: Classification, learner: Learner, turn: Turn) -> Tensor:
    """Return an agent's class scores `[N, K]` of the anchors: cosines over the temperature."""
    if strategy.labels == "own":
        cosines_NK = own_label_cosines(learner, turn, strategy.crops, strategy.classes)
        return cosines_NK / strategy.temperature
    mean_ND = learner.embed_anchors(strategy.crops, turn.round).mean(dim=0)
    embeddings_ND = F.normalize(mean_ND, dim=-1)
    classes_N = torch.from_numpy(learner.anchor_clusters).to(embeddings_ND.device)
    cosines_NK = class_cosines(embeddings_ND, classes_N, strategy.classes)
    return cosines_NK / strategy.temperature


def own_label_cosines(learner: Learner, turn: Turn, crops: int, classes: int) -> Tensor:
    """Return the cosine of each anchor to the mean of each class of the agent's own labelled documents.

    All embeddings are centred by the mean of the anchors. The labels that neighbours sent have no part in it:
    votes of a classifier that has learnt earlier votes would confirm each other until one class remains.

    Returns:
        `[N, K]`. A class without any label of the agent's has cosine 0.
    """
    anchors_ND = learner.embed_anchors(crops, turn.round).mean(dim=0)
    labelled_CnD, classes_n = learner.embed_labelled(crops, turn.round)
    centre_D = anchors_ND.mean(dim=0)
    labelled_nD = F.normalize(labelled_CnD.mean(dim=0) - centre_D, dim=-1)
    sums_KD = F.one_hot(classes_n, classes).to(labelled_nD.dtype).T @ labelled_nD
    return F.normalize(anchors_ND - centre_D, dim=-1) @ F.normalize(sums_KD, dim=-1).T


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


def taught_classifier(strategy: Classification, learner: Learner) -> nn.Module:
    """Return the head that learns fused labels: that of the objective labelled, or the exchange's."""
    encoder = learner.encoder
    return encoder.heads[LABEL_HEAD] if strategy.labels == "own" else encoder.classifier


def label_loss(classify: nn.Module, anchors: AnchorBatch, targets_AK: Tensor) -> Tensor:
    """Return the cross-entropy of a classifier to soft labels, a mean over anchors and views."""
    losses = [
        functional.soft_cross_entropy(classify(pooled), targets_AK) for pooled in anchors.pooled
    ]
    return torch.stack(losses).mean()


def label_divergence(classify: nn.Module, anchors: AnchorBatch, targets_AK: Tensor) -> Tensor:
    """Return ``KL(targets || own)`` of a classifier: `label_loss` minus the targets' entropy."""
    entropy_A = torch.special.entr(targets_AK).sum(dim=-1)
    divergence: Tensor = label_loss(classify, anchors, targets_AK) - entropy_A.mean()
    return divergence
