"""What a self-supervised objective is: from a step's documents to a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from protocols.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

    from agents.batching import Collator
    from agents.encoder import Encoder


@dataclass(frozen=True)
class Step:
    """What an objective sees of one training step.

    Attributes:
        encoder: the resident encoder, being the agent that trains.
        documents: B token arrays; the last ones may be public anchors.
        collate: adds special tokens, pads, moves to the device.
        rng: the step's generator; what is drawn from it depends on agent and step alone.
    """

    encoder: Encoder
    documents: Sequence[np.ndarray]
    collate: Collator
    rng: np.random.Generator


@dataclass(frozen=True)
class Objected:
    """What an objective returns.

    Attributes:
        loss: scalar, before the objective's weight.
        token_counts: `[B]`, tokens that went through the encoder for each document.
        pooled: one `[B, W]` tensor per view of the documents, in their order, attached to the graph; an
            exchange learns from the anchors among them at no extra cost. Empty if there is none.
    """

    loss: Tensor
    token_counts: np.ndarray
    pooled: tuple[Tensor, ...] = ()


class Objective(Spec, ABC):
    """A self-supervised loss over a batch of documents."""

    kind: str
    weight: float = Field(1.0, gt=0.0, description="Factor of this objective in the total loss.")

    @abstractmethod
    def loss(self, step: Step) -> Objected:
        """Compute the loss of a step; permuting its documents must not change what it measures."""

    @property
    def relies_on_dropout(self) -> bool:
        """Whether the objective learns nothing from an encoder without dropout."""
        return False
