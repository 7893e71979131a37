"""SimCSE: contrast a document with itself under another dropout mask."""

from __future__ import annotations

from typing import ClassVar, Literal

from agents.lazy_torch import torch
from agents.objectives import functional
from agents.objectives.base import LossOutput, Prepared, RawBatch, Step
from agents.objectives.contrastive import Contrastive
from agents.views import Dropout


class SimCSE(Contrastive):
    """SimCSE (Gao et al. 2021): contrast two passes of a document through dropout.

    InfoNCE in one direction with in-batch negatives. For pretrained encoders: from random weights it learns
    nothing.

    Source: Gao et al., SimCSE: Simple Contrastive Learning of Sentence Embeddings, 2021.
    """

    kind: Literal["simcse"] = "simcse"
    encodes: ClassVar[str | None] = "views"

    @property
    def relies_on_dropout(self) -> bool:
        """Return True: both views are the document itself."""
        return True

    def prepare(self, raw: RawBatch) -> Prepared:
        """Take every document twice, in one batch."""
        return {"views": raw.views((Dropout(),), count=2)}

    def loss(self, step: Step) -> LossOutput:
        """Encode both copies in one pass, with their own masks, and contrast them."""
        batch, temperature = step.inputs["views"], self.temperature_in(step)
        first, second = torch.chunk(step.encode(batch), 2)
        project = step.encoder.projection
        loss = functional.one_way(
            project(first), project(second), temperature, hardness=self.hardness
        )
        token_counts = batch.lengths.reshape(2, -1).sum(axis=0)
        return LossOutput(loss, token_counts, (first, second), self.report(temperature))
