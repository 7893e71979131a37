"""Class scores of public anchors, averaged and digested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.classes import ClassState, ClassTeacher, label_loss, taught_classifier
from agents.exchange.anchors.fused_teacher import Part
from agents.exchange.base import AnchorBatch, Expected, Learner, Turn, to_tensor
from agents.lazy_torch import F, Tensor, torch
from protocols.messages import Logits, Payload


class FedMD(ClassTeacher):
    """FedMD (Li & Wang 2019): distil the averaged class scores of the anchors.

    An agent's scores of an anchor are its cosines to the mean embedding of each class, over the temperature,
    the anchor itself left out of its class's mean; with ``labels: own``, its cosines to the mean of its own
    labelled documents of each class, both centred by the mean anchor. They are averaged as scores, which
    multiplies probabilities where ``pseudo_labels`` adds them: a class that one agent rules out stays
    unlikely. A classifier on the encoder learns the consensus itself, by its absolute (`l1`) or squared
    (`mse`) difference, or its softmax by cross-entropy; with ``labels: own`` it is that of the objective
    ``labelled``, which never votes.

    Source: Li and Wang, FedMD: Heterogenous Federated Learning via Model Distillation, 2019, whose agents
    average class scores on public data and digest the consensus. Theirs come from a classifier trained on the
    labels of the public data, these from class means, which need no training.
    """

    kind: Literal["fedmd"] = "fedmd"
    digest: Literal["l1", "mse", "cross_entropy"] = Field(
        "l1", description="Loss that the consensus is learnt by."
    )

    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return class scores `[N, K]` of the anchors."""
        return self.scores(learner, turn)

    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of scores."""
        ((values, weight),) = parts
        return Logits(values=values.cpu().numpy(), weight=weight)

    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read scores and the number of agents that they represent."""
        assert isinstance(payload, Logits)
        return [(to_tensor(payload.values, learner), payload.weight)]

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a score of every class for every anchor."""
        return Expected(Logits, {"values": (learner.anchor_count, self.classes)})

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the difference from the consensus, a mean over anchors, classes and views."""
        teacher_NK = ClassState.of(learner).teacher
        if teacher_NK is None:
            return None
        target_AK = teacher_NK[anchors.ids]
        classify = taught_classifier(self, learner)
        if self.digest == "cross_entropy":
            digested = label_loss(classify, anchors, torch.softmax(target_AK, dim=-1))
        else:
            difference = {"l1": F.l1_loss, "mse": F.mse_loss}[self.digest]
            scores = [classify(pooled).to(target_AK.dtype) for pooled in anchors.pooled]
            digested = torch.stack([difference(each, target_AK) for each in scores]).mean()
        return self.ramped_weight(learner) * digested
