"""What makes up a batch: which documents, and what is prepared of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.objectives.base import Prepared
from agents.text.tokens import Text


@dataclass(frozen=True)
class Reading:
    """Which documents make up one batch.

    Attributes:
        batch: its number since the beginning of training.
        rows: `[B]` rows of the corpus, public anchors last.
        anchors: `[A]` ids of those anchors.
        read, anchors_read: where the agent reads on afterwards.
    """

    batch: int
    rows: np.ndarray
    anchors: np.ndarray
    read: int
    anchors_read: int


@dataclass(frozen=True)
class Ready:
    """A batch of which everything is prepared that needs no encoder."""

    reading: Reading
    texts: list[Text]
    prepared: list[Prepared]
