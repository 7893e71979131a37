"""Contrast between models: the received parameters' embeddings and the agent's earlier embeddings.

Legend: B documents, D width of the projection.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agents.lazy_torch import F, Tensor, torch
from agents.objectives.base import LossOutput, Objective, Prepared, RawBatch, Step
from agents.objectives.contrastive import Views
from agents.text.batch import Batch
from agents.views import Crop


class Moon(Objective):
    """MOON (Li et al. 2021): stay close to the received model's embeddings, away from the previous model's.

    Use it together with another objective. One view of each document is embedded three times: by the agent,
    by the parameters that resulted from its last exchange (the positive) and by its own just before (the
    negative). The latter two are constants, without dropout. Before the first exchange the loss is 0. See
    `model_contrast`.

    It needs an exchange of parameters, and stores two copies of them for each agent.

    Source: Li et al., Model-Contrastive Federated Learning, 2021.
    """

    kind: Literal["moon"] = "moon"
    views: Views = Field(
        (Crop(),), min_length=1, description="Augmentations, applied one after another."
    )
    temperature: float = Field(0.5, gt=0.0, le=10.0, description="Divides the cosines.")

    @property
    def wants_reference(self) -> bool:
        """Return True."""
        return True

    def prepare(self, raw: RawBatch) -> Prepared:
        """Make one view of every document."""
        return {"views": raw.views(self.views)}

    def loss(self, step: Step) -> LossOutput:
        """Embed the views three times, and contrast."""
        batch = step.inputs["views"]
        if step.reference is None:
            nothing = torch.zeros((), device=batch.input_ids.device)
            return LossOutput(nothing, np.zeros_like(batch.lengths))
        own_BD = _project(step, batch)
        received_BD = _project_under(step, step.reference.received, batch)
        previous_BD = _project_under(step, step.reference.previous, batch)
        loss = model_contrast(own_BD, received_BD, previous_BD, self.temperature)
        return LossOutput(loss, batch.lengths, embedded_tokens=2 * int(batch.lengths.sum()))


def model_contrast(
    own_BD: Tensor, received_BD: Tensor, previous_BD: Tensor, temperature: float
) -> Tensor:
    """``-log(e^(p / t) / (e^(p / t) + e^(n / t)))``, p and n cosines to received and to previous.

    Args:
        own_BD: `[B, D]`, takes the gradient; not necessarily normalised; nor are the other two.
        received_BD: `[B, D]`, the positive of each row.
        previous_BD: `[B, D]`, the negative of each row.
        temperature: t > 0, divides the cosines.

    Returns:
        A mean over rows, in nats; log 2 if the two are equal.

    Example:
        >>> import torch
        >>> here, there = torch.eye(2)
        >>> round(float(model_contrast(here[None], here[None], there[None], 0.5)), 3)
        0.127
    """
    positive_B = F.cosine_similarity(own_BD, received_BD, dim=-1)
    negative_B = F.cosine_similarity(own_BD, previous_BD, dim=-1)
    return F.softplus((negative_B - positive_B) / temperature).mean()


def _project(step: Step, batch: Batch) -> Tensor:
    projected: Tensor = step.encoder.projection(step.encode(batch))
    return projected.float()


def _project_under(step: Step, parameters: Tensor, batch: Batch) -> Tensor:
    assert step.under is not None
    training = step.encoder.training
    step.encoder.eval()
    try:
        return step.under(parameters, lambda: _project(step, batch))
    finally:
        step.encoder.train(training)
