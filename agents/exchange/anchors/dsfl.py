"""Soft labels of public anchors, averaged and sharpened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.classes import ClassState, ClassTeacher, label_loss, taught_classifier
from agents.exchange.anchors.fused_teacher import Part
from agents.exchange.base import AnchorBatch, Learner
from agents.lazy_torch import Tensor, torch


class DSFL(ClassTeacher):
    """DS-FL (Itahashi et al. 2020): distil averaged soft labels of the anchors, sharpened.

    The soft labels are those of ``pseudo_labels``, with ``labels: own`` too: votes by each agent's own
    labelled documents, learnt by the classifier of the objective ``labelled``. Their mean becomes
    ``softmax(mean / sharpness)``. Every anchor is learnt, however uncertain: agents with different text are
    uncertain in different ways, which makes the mean of their labels flatter than it should be. In a tree
    means add up, and the root sharpens once; peers sharpen the mean of what they received.

    Source: Itahashi et al., Distillation-Based Semi-Supervised Federated Learning for
    Communication-Efficient Collaborative Training with Non-IID Private Data, 2020 (DS-FL).
    """

    kind: Literal["dsfl"] = "dsfl"
    sharpness: float = Field(
        0.1, gt=0.0, le=10.0, description="Divides the mean probabilities; a low value sharpens."
    )

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Tensor:
        """Return the sharpened mean `[N, K]`."""
        return torch.softmax(super().fuse(learner, parts) / self.sharpness, dim=-1)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to the sharpened labels, a mean over the views."""
        teacher_NK = ClassState.of(learner).teacher
        if teacher_NK is None:
            return None
        return self.ramped_weight(learner) * label_loss(
            taught_classifier(self, learner), anchors, teacher_NK[anchors.ids]
        )
