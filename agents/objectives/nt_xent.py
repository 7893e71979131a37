"""NT-Xent: contrast every view with all views of the batch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.lazy import torch
from agents.objectives.base import Draft, Objected, Prepared, Step
from agents.objectives.contrastive import Augmented


class NTXent(Augmented):
    """NT-Xent over 2N views: each view against the other of its document and all those of the others.

    See `agents.objectives.functional.nt_xent`.
    """

    kind: Literal["nt_xent"] = "nt_xent"
    guide: Literal["none", "self"] = Field(
        "none", description="Who finds false negatives, which are left out: the encoder itself."
    )
    margin: float = Field(
        0.0, ge=-2.0, le=2.0, description="The guide also leaves out what is less alike by this."
    )

    @model_validator(mode="after")
    def _margin_has_guide(self) -> Self:
        if self.margin and self.guide == "none":
            raise ValueError("margin belongs to a guide; set guide to self, or margin to 0")
        return self

    def prepare(self, draft: Draft) -> Prepared:
        """Make two views of every document, in one batch."""
        return {"views": draft.views(self.views, count=2)}

    def loss(self, step: Step) -> Objected:
        """Encode both views in one pass and contrast them."""
        from agents.objectives import functional

        batch, temperature = step.inputs["views"], self.temperature_in(step)
        self.refuse_identical_views(step, batch)
        first, second = torch.chunk(step.encode(batch), 2)
        project = step.encoder.projection
        loss = functional.nt_xent(
            project(first),
            project(second),
            temperature,
            margin=None if self.guide == "none" else self.margin,
            hardness=self.hardness,
        )
        token_counts = batch.lengths.reshape(2, -1).sum(axis=0)
        return Objected(loss, token_counts, (first, second), self.report(temperature))
