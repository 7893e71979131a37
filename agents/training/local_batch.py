"""Batches of local training: their documents, and their prepared inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.objectives.base import Prepared
from agents.text.tokens import Text


@dataclass(frozen=True)
class BatchRows:
    """Documents of one batch.

    Attributes:
        batch: its number since the beginning of training.
        rows: `[B]` rows of the corpus, public anchors last.
        anchors: `[A]` ids of those anchors.
        read, anchors_read: the agent's positions in its documents and anchors after the batch.
    """

    batch: int
    rows: np.ndarray
    anchors: np.ndarray
    read: int
    anchors_read: int


@dataclass(frozen=True)
class PreparedBatch:
    """A batch with the inputs of each objective prepared, before it goes through the encoder."""

    documents: BatchRows
    texts: list[Text]
    inputs: list[Prepared]
