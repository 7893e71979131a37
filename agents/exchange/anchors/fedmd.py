"""Class scores of public anchors, averaged and digested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.classes import ClassTeacher, label_loss, received
from agents.exchange.base import AnchorBatch, Expected, Learner, Turn
from agents.exchange.fusion import Part
from agents.lazy_torch import F, torch
from protocols.messages import Logits, Payload

if TYPE_CHECKING:
    from torch import Tensor


class FedMD(ClassTeacher):
    """Class scores of anchors: a classifier on my encoder digests the neighbours' mean scores.

    My scores of an anchor are its cosines to the mean embedding of each class, over the temperature, the
    anchor itself left out of its class's mean. They are averaged as scores, which multiplies probabilities
    where ``pseudo_labels`` adds them: a class that one agent rules out stays unlikely. The classifier
    learns the consensus as it is, by its absolute (`l1`) or squared (`mse`) difference, or its softmax by
    cross-entropy.

    Source: Li and Wang, FedMD: Heterogenous Federated Learning via Model Distillation, 2019, whose agents
    average class scores on public data and digest the consensus. Where theirs come from a classifier that was
    trained on the labels of the public data, these come from class means, which need no training.
    """

    kind: Literal["fedmd"] = "fedmd"
    digest: Literal["l1", "mse", "cross_entropy"] = Field(
        "l1", description="Loss by which the consensus is learnt."
    )

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return class scores `[N, K]` of the anchors."""
        return self.scores(learner, turn)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of scores."""
        ((values, weight),) = parts
        return Logits(values=values.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read scores and the number of agents that they stand for."""
        assert isinstance(payload, Logits)
        return [(received(payload.values, learner), payload.weight)]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a score of every class for every anchor."""
        return Expected(Logits, {"values": (learner.anchor_count, self.classes)})

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the difference from the consensus, a mean over anchors, classes and views."""
        teacher_NK = learner.memory.get("teacher")
        if teacher_NK is None:
            return None
        target_AK = teacher_NK[anchors.ids]
        if self.digest == "cross_entropy":
            digested = label_loss(learner, anchors, torch.softmax(target_AK, dim=-1))
        else:
            differ = {"l1": F.l1_loss, "mse": F.mse_loss}[self.digest]
            classify = learner.encoder.classifier
            scores = [classify(pooled).to(target_AK.dtype) for pooled in anchors.pooled]
            digested = torch.stack([differ(each, target_AK) for each in scores]).mean()
        return self.ramped_weight(learner) * digested
