"""Codistillation between pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.anchor_similarity import divergence, similarities
from agents.exchange.anchors.classes import (
    LABELS_HELP,
    Labels,
    check_classes,
    class_scores,
    label_divergence,
    received,
)
from agents.exchange.base import (
    AnchorBatch,
    AnchorExchange,
    Expected,
    Heads,
    Learner,
    Society,
    Turn,
    begin_round,
)
from agents.lazy_torch import torch
from protocols.messages import Message, Payload, PseudoLabels, SimilarityTargets
from protocols.seeding import derive

if TYPE_CHECKING:
    from torch import Tensor


class Codistillation(AnchorExchange):
    """Codistillation in pairs: one neighbour at a time is my teacher, as I may be its.

    I send what I think of the anchors: how alike they are (``over: similarities``, as ``anchor_similarity``
    does) or their classes (``over: classes``, as ``pseudo_labels`` does). At each exchange every edge draws
    a number from the seed and the round, the same at both ends, and I learn ``KL(theirs || mine)`` from
    that neighbour alone whose edge drew the least: the closest pairs learn from each other, and nothing is
    averaged. In a tree everybody speaks for itself, upwards and downwards, so that the neighbour is my
    parent or one of my children.

    All neighbours are sent to, since an agent does not know whom the others draw; in a topology that pairs
    agents by itself (``random_matching``, ``one_peer_exponential``) no byte is in vain.

    Source: Anil et al., Large Scale Distributed Neural Network Training through Online Distillation, 2018;
    for pairs: Zhang et al., Deep Mutual Learning, 2018.
    """

    kind: Literal["codistillation"] = "codistillation"
    over: Literal["similarities", "classes"] = Field(
        "similarities", description="What is sent and learnt of the anchors."
    )
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    classes: int = Field(16, ge=2, description="Clusters or labels, over classes.")
    labels: Labels = Field("clusters", description=LABELS_HELP)

    @property
    def wants_labels(self) -> bool:
        """Whether the classes are the anchors' true labels."""
        return self.over == "classes" and self.labels == "true"

    def check(self, society: Society) -> None:
        """Refuse more classes than the anchors can fill, and parameters of classes that are not spoken of."""
        super().check(society)
        if self.over == "classes":
            check_classes(self.classes, society)
            return
        for name in ("classes", "labels"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"exchange.{name} is set, and mutual speaks of similarities; "
                    "set exchange.over to classes"
                )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a classifier where classes are spoken of."""
        return Heads(classes=self.classes if self.over == "classes" else 0)

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my own similarities `[N, N]` or soft labels `[N, K]`."""
        if self.over == "similarities":
            values = similarities(learner, turn, self.crops, self.temperature)
            return SimilarityTargets(values=values.cpu().numpy(), weight=1.0)
        scores = class_scores(learner, turn, self.crops, self.classes, self.temperature)
        return PseudoLabels(probabilities=torch.softmax(scores, dim=-1).cpu().numpy(), weight=1.0)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept what I would send myself."""
        anchors = learner.anchor_count
        if self.over == "similarities":
            return Expected(SimilarityTargets, {"values": (anchors, anchors)})
        return Expected(PseudoLabels, {"probabilities": (anchors, self.classes)})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep what the neighbour sent whose edge drew the least in this round, over all hops."""
        if not inbox:
            return
        if begin_round(learner, turn):
            learner.memory.pop("drawn", None)
        for message in inbox:
            sender = message.envelope.sender
            drawn = edge_draw(learner.seed, turn.round, learner.id, sender)
            best = learner.memory.get("drawn")
            if best is None or drawn < best[0]:
                learner.memory["drawn"] = (drawn, sender)
                learner.memory["teacher"] = _values(message.payload, learner)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the divergence from the partner, a mean over anchors and views."""
        teacher = learner.memory.get("teacher")
        if teacher is None:
            return None
        if self.over == "similarities":
            learnt = divergence(teacher, anchors, self.temperature)
        else:
            learnt = label_divergence(learner, anchors, teacher[anchors.ids])
        return self.ramped_weight(learner) * learnt


def edge_draw(seed: int, round: int, one: int, other: int) -> int:
    """Return the number that an edge draws in a round, the same at both ends.

    Example:
        >>> edge_draw(0, 1, 2, 5) == edge_draw(0, 1, 5, 2) != edge_draw(0, 2, 2, 5)
        True
    """
    return derive(seed, "mutual", round, min(one, other), max(one, other))


def _values(payload: Payload, learner: Learner) -> Tensor:
    if isinstance(payload, SimilarityTargets):
        return received(payload.values, learner)
    assert isinstance(payload, PseudoLabels)
    return received(payload.probabilities, learner)
