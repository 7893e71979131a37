"""NT-Xent: contrast every view with all views of the batch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from agents.lazy_torch import torch
from agents.objectives import functional
from agents.objectives.base import LossOutput, Prepared, Ratio, RawBatch, Step
from agents.objectives.contrastive import Augmented


class NTXent(Augmented):
    """NT-Xent (SimCLR, Chen et al. 2020): contrast each of 2N views with all others of the batch.

    See `agents.objectives.functional.nt_xent`.
    """

    kind: Literal["nt_xent"] = "nt_xent"
    encodes: ClassVar[str | None] = "views"
    guide: Literal["none", "self"] = Field(
        "none",
        description="How false negatives are found and excluded: `none`, or `self` for the encoder.",
    )

    def prepare(self, raw: RawBatch) -> Prepared:
        """Make two views of every document, in one batch."""
        return {"views": raw.views(self.views, count=2)}

    def loss(self, step: Step) -> LossOutput:
        """Encode both views in one pass and contrast them."""
        batch, temperature = step.inputs["views"], self.temperature_in(step)
        self.refuse_identical_views(step, batch)
        first, second = torch.chunk(step.encode(batch), 2)
        own, other = (step.encoder.projection(view) for view in (first, second))
        positives_V = torch.arange(2 * len(first), device=first.device).roll(len(first))
        metrics, false_VV = self.report(temperature), None
        if self.guide != "none":
            views_VD = torch.cat([own, other])
            false_VV = self.false_negatives(views_VD, views_VD, positives_V).fill_diagonal_(False)
            metrics["false_negatives"] = Ratio(false_VV.sum(), len(views_VD) * (len(views_VD) - 2))
        loss = functional.nt_xent(
            own, other, temperature, excluded_VV=false_VV, hardness=self.hardness
        )
        token_counts = batch.lengths.reshape(2, -1).sum(axis=0)
        return LossOutput(loss, token_counts, (first, second), metrics)
