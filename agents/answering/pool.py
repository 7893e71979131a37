"""Base of the trained fusions of answers: a fit on one split, and the pool that results.

Legend: S distinct origins, N texts, E texts of the split ``fit``, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from agents.answering.answers import Labels, Rows
from agents.exchange.anchors.label_fusion import LabelFusion, Votes
from agents.lazy_torch import Tensor, torch

LEAST_PROBABILITY = 1e-4
"""Probabilities below it count as this much, so that one certain mistake cannot outvote everyone."""


class Pool(ABC):
    """A fitted fusion: a map from votes to class probabilities."""

    @abstractmethod
    def pool(self, votes_SNK: Rows, present_S: NDArray[np.bool_]) -> Rows:
        """Return fused probabilities `[N, K]`.

        Args:
            votes_SNK: `[S, N, K]`; rows of absent origins have no meaning.
            present_S: `[S]`, which origins answered; at least one did.
        """


class TrainedFusion(LabelFusion):
    """A fusion with parameters, which are fitted to labelled votes."""

    @abstractmethod
    def fit(self, votes_SEK: Rows, labels_E: Labels) -> Pool:
        """Fit to out-of-fold votes `[S, E, K]` on texts with labels `[E]`."""

    def fuse(self, votes: Votes) -> Tensor:
        """Fit to the audit anchors, and fuse the votes on all; see `LabelFusion.fuse`."""
        votes_SNK = votes.probabilities.double().cpu().numpy()
        audit = votes.audit.cpu().numpy()
        pool = self.fit(votes_SNK[:, audit], votes.classes.cpu().numpy()[audit])
        fused_NK = pool.pool(votes_SNK, np.ones(len(votes_SNK), bool))
        return torch.from_numpy(fused_NK).to(votes.probabilities)


def log_odds(votes_SNK: Rows) -> Rows:
    """Return logarithms of bounded probabilities, centred over the classes."""
    logs = np.log(np.maximum(votes_SNK, LEAST_PROBABILITY))
    centred: Rows = logs - logs.mean(axis=-1, keepdims=True)
    return centred
