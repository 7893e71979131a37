"""Memory of labelled texts for replay: which texts stay, and the texts themselves.

Legend: m stored texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from agents.objectives.base import ObjectiveState
from protocols.spec import Spec


class MemoryConfig(Spec):
    """Size of the memory."""

    texts: int = Field(
        200,
        ge=1,
        description="Texts that an agent stores, at most: of all that were ever offered, each with the same "
        "probability.",
    )


@dataclass
class MemoryState(ObjectiveState):
    """Stored texts of one agent.

    Attributes:
        tokens: token ids of each text, without special tokens.
        classes: `[m]`, the class of each.
        offered: texts offered so far.
    """

    tokens: list[np.ndarray] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    offered: int = 0

    def place(self, config: MemoryConfig, rng: np.random.Generator) -> int | None:
        """Offer a text; return the place to store it at, or None to leave it out.

        Source: Vitter, Random Sampling with a Reservoir, 1985.
        """
        self.offered += 1
        if len(self.classes) < config.texts:
            return len(self.classes)
        drawn = int(rng.integers(self.offered))
        return drawn if drawn < config.texts else None

    def store(self, place: int, tokens: np.ndarray, label: int) -> None:
        """Store a text at a place that `place` returned."""
        kept = np.array(
            tokens, dtype=np.int32
        )  # a copy of its own: half the bytes, and no view of the corpus
        if place == len(self.classes):
            self.tokens.append(kept)
            self.classes.append(int(label))
        else:
            self.tokens[place], self.classes[place] = kept, int(label)
