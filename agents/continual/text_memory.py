"""Memory of labelled texts for replay: which texts stay, and the texts themselves.

Legend: m stored texts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from agents.objectives.base import ObjectiveState
from protocols.spec import Spec


class MemoryConfig(Spec):
    """Size of the memory, and the rule by which texts enter it."""

    kind: Literal["class_balanced", "reservoir"] = Field(
        "class_balanced",
        description="reservoir: every text that was ever offered is stored with the same probability. "
        "class_balanced: the same within each class, and classes as equal as can be.",
    )
    texts: int = Field(200, ge=1, description="Texts that an agent stores, at most.")


@dataclass
class MemoryState(ObjectiveState):
    """Stored texts of one agent.

    Attributes:
        tokens: token ids of each text, without special tokens.
        classes: `[m]`, the class of each.
        offered: texts offered so far, by class.
        full: classes that have once been the largest of a full memory.
    """

    tokens: list[np.ndarray] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    offered: dict[int, int] = field(default_factory=dict)
    full: list[int] = field(default_factory=list)

    def place(self, label: int, config: MemoryConfig, rng: np.random.Generator) -> int | None:
        """Offer a text of a class; return the place to store it at, or None to leave it out.

        Sources: Vitter, Random Sampling with a Reservoir, 1985, for the reservoir; Chrysakis and Moens,
        Online Continual Learning from Imbalanced Data, 2020, for the balanced one.
        """
        self.offered[label] = self.offered.get(label, 0) + 1
        stored = len(self.classes)
        if stored < config.texts:
            return stored
        if config.kind == "reservoir":
            drawn = int(rng.integers(sum(self.offered.values())))
            return drawn if drawn < stored else None
        sizes = Counter(self.classes)
        most = max(sizes.values())
        largest = sorted(each for each, size in sizes.items() if size == most)
        self.full = sorted({*self.full, *largest})
        if label not in self.full:
            # A class that has never been the largest takes the place of one that is.
            victims = [i for i, each in enumerate(self.classes) if each == largest[0]]
            return victims[int(rng.integers(len(victims)))]
        own = [i for i, each in enumerate(self.classes) if each == label]
        drawn = int(rng.integers(self.offered[label]))
        return own[drawn] if drawn < len(own) else None

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
