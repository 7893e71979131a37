"""Soft labels of public anchors, averaged and sharpened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.classes import ClassTeacher, label_loss
from agents.exchange.base import AnchorBatch, Learner
from agents.exchange.fusion import Part
from agents.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor


class DSFL(ClassTeacher):
    """Soft labels of anchors: learn the neighbours' mean, sharpened by ``softmax(mean / sharpness)``.

    The soft labels are those of ``pseudo_labels``. Every anchor is learnt, whatever its label: agents with
    unlike text are unsure in unlike ways, and the mean of their labels is flatter than any of them should be.
    In a tree means add up, and the root sharpens once; peers sharpen what they heard.

    Source: Itahashi et al., Distillation-Based Semi-Supervised Federated Learning for
    Communication-Efficient Collaborative Training with Non-IID Private Data, 2020 (DS-FL).
    """

    kind: Literal["dsfl"] = "dsfl"
    sharpness: float = Field(
        0.1, gt=0.0, le=10.0, description="Divides the mean probabilities; low sharpens."
    )

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Tensor:
        """Return the sharpened mean `[N, K]`."""
        return torch.softmax(super().fuse(learner, parts) / self.sharpness, dim=-1)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the cross-entropy to the sharpened labels, a mean over the views."""
        teacher_NK = learner.memory.get("teacher")
        if teacher_NK is None:
            return None
        return self.ramped_weight(learner) * label_loss(learner, anchors, teacher_NK[anchors.ids])
