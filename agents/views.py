"""Views: random variants of a document, two of which make a positive pair.

A view works on token ids without special tokens. It never empties a text, and it draws from the generator
it is given and from nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from protocols.spec import Spec


class View(Spec, ABC):
    """A random variant of a document."""

    kind: str
    relies_on_dropout: ClassVar[bool] = False

    @abstractmethod
    def apply(self, tokens: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Return a variant of a document.

        Args:
            tokens: `[T]` token ids, T >= 1; left unchanged.
            budget: tokens that the encoder will read at most.
            rng: the only source of randomness.

        Returns:
            `[U]`, 1 <= U.
        """


class Crop(View):
    """A random contiguous span of the document.

    The span covers a random share of the document, between `shortest` and `longest`, and is cut at the
    budget; its place is uniform (Giorgi et al., DeCLUTR, 2021, use such spans for contrastive learning).
    """

    kind: Literal["crop"] = "crop"
    shortest: float = Field(0.15, gt=0.0, le=1.0, description="Least share of the document.")
    longest: float = Field(0.6, gt=0.0, le=1.0, description="Largest share of the document.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must not exceed longest ({self.longest})")
        return self

    def apply(self, tokens: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Return the span; see `View.apply`."""
        share = self.shortest + (self.longest - self.shortest) * rng.random()
        length = max(1, min(budget, round(share * len(tokens))))
        start = int(rng.integers(0, len(tokens) - length + 1))
        return tokens[start : start + length]


class Dropout(View):
    """The document itself; two views differ by the encoder's dropout masks alone.

    Source: Gao et al., SimCSE, 2021. For pretrained encoders: from random weights it learns nothing.
    """

    kind: Literal["dropout"] = "dropout"
    relies_on_dropout: ClassVar[bool] = True

    def apply(self, tokens: np.ndarray, budget: int, rng: np.random.Generator) -> np.ndarray:
        """Return the beginning of the document; see `View.apply`."""
        return tokens[:budget]


VIEWS: dict[str, type[View]] = {"crop": Crop, "dropout": Dropout}


def compose(
    views: Sequence[View], tokens: np.ndarray, budget: int, rng: np.random.Generator
) -> np.ndarray:
    """Apply views one after another."""
    for view in views:
        tokens = view.apply(tokens, budget, rng)
    return tokens
