"""Views that keep the document, or a contiguous part of it, unchanged."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.text.tokens import Text
from agents.views.base import Setting, View


class Crop(View):
    """A random contiguous span of the document.

    The span covers a random share of the document, between `shortest` and `longest`, and is cut at the
    budget; its place is uniform.

    Source: Giorgi et al., DeCLUTR: Deep Contrastive Learning for Unsupervised Textual Representations, 2021.
    """

    kind: Literal["crop"] = "crop"
    shortest: float = Field(0.15, gt=0.0, le=1.0, description="Least share of the document.")
    longest: float = Field(0.6, gt=0.0, le=1.0, description="Largest share of the document.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must not exceed longest ({self.longest})")
        return self

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the span; see `View.apply`."""
        share = self.shortest + (self.longest - self.shortest) * rng.random()
        length = max(1, min(setting.budget, round(share * len(text))))
        start = int(rng.integers(0, len(text) - length + 1))
        return text.span(start, start + length)


class Dropout(View):
    """The document itself; two views differ by the encoder's dropout masks only.

    Suited to pretrained encoders: from random weights nothing is learnt this way.

    Source: Gao et al., SimCSE: Simple Contrastive Learning of Sentence Embeddings, 2021.
    """

    kind: Literal["dropout"] = "dropout"
    relies_on_dropout: ClassVar[bool] = True

    def apply(self, text: Text, setting: Setting, rng: np.random.Generator) -> Text:
        """Return the beginning of the document; see `View.apply`."""
        return text.span(0, min(len(text), setting.budget))
