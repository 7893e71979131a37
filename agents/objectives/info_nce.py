"""Contrastive learning between two views of each document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agents.lazy import torch
from agents.objectives.base import Draft, Objected, Objective, Prepared, Step
from agents.views import VIEWS, Crop, View
from protocols.spec import Kinds


class InfoNCE(Objective):
    """Contrastive: pull two views of a document together, push the batch apart.

    Symmetric InfoNCE with in-batch negatives; see `agents.objectives.functional.info_nce`.
    """

    kind: Literal["info_nce"] = "info_nce"
    views: tuple[Annotated[View, Kinds(VIEWS)], ...] = Field(
        (Crop(),), min_length=1, description="Augmentations, applied one after another."
    )
    temperature: float = Field(0.05, gt=0.0, le=10.0, description="Divides the cosines.")

    @property
    def relies_on_dropout(self) -> bool:
        """Whether nothing but dropout tells the two views apart."""
        return all(view.relies_on_dropout for view in self.views)

    def prepare(self, draft: Draft) -> Prepared:
        """Make two views of every document, in one batch."""
        return {"views": draft.views(self.views, count=2)}

    def loss(self, step: Step) -> Objected:
        """Encode both views in one pass and contrast them."""
        from agents.objectives import functional

        batch = step.inputs["views"]
        first, second = torch.chunk(step.encode(batch), 2)
        project = step.encoder.projection
        loss = functional.info_nce(project(first), project(second), self.temperature)
        return Objected(loss, batch.lengths.reshape(2, -1).sum(axis=0), (first, second))
