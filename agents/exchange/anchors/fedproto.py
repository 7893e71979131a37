"""Mean embeddings of the anchors' classes, averaged over agents.

Legend: N anchors, A anchors in a batch, K classes, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.anchors.classes import LABELS_HELP, check_classes, own_label_cosines
from agents.exchange.base import AnchorBatch, ExchangeState, Heads, Learner, Society, Turn
from agents.exchange.private.base import exchange_embeddings
from agents.exchange.private.centroid_exchange import CentroidExchange, Centroids, CentroidState
from agents.lazy_torch import F, Tensor, torch


@dataclass
class FedProtoState(CentroidState):
    """Fused centroids, and the classes that the agent gave the anchors.

    Attributes:
        classes: `[N]` int64, the class of each anchor by the agent's own labels; None for clusters.
    """

    classes: Tensor | None = None


class FedProto(CentroidExchange, AnchorExchange):
    """FedProto (Tan et al. 2022): draw each class of anchors towards the averaged class prototypes.

    The classes are clusters of the anchors, found once from cheap features of their public text, so they mean
    the same to all agents; or, with ``labels: own``, each agent's classes of the anchors by its own labels.
    An agent sends the mean of its normalised embeddings of each class, and the number of anchors in that
    mean. Means are averaged by those numbers, its own included: among peers over the neighbourhood, in a tree
    over all agents. The loss is the squared distance of an anchor's normalised embedding to its class's
    prototype. Encoders of different widths share the space of the exchange head, which this loss aligns.

    Source: Tan et al., FedProto: Federated Prototype Learning across Heterogeneous Clients, 2022.
    """

    kind: Literal["fedproto"] = "fedproto"
    state_type: ClassVar[type[ExchangeState]] = FedProtoState
    classes: int = Field(16, ge=2, description="Clusters of the anchors, or labels of the data.")
    labels: Literal["clusters", "own"] = Field("clusters", description=LABELS_HELP)

    @property
    def wants_own_labels(self) -> int:
        """Number of classes of the agents' own labels; 0 where the classes are clusters."""
        return self.classes if self.labels == "own" else 0

    def check(self, society: Society) -> None:
        """Refuse more classes than the anchors can fill."""
        super().check(society)
        check_classes(self.classes, society)

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for the classes, and for a projection where widths differ."""
        return Heads(
            super().heads(widths).exchange_dimension, 0 if self.labels == "own" else self.classes
        )

    @property
    def centres(self) -> int:
        """K, a prototype for every class."""
        return self.classes

    def fuse(self, learner: Learner, turn: Turn, parts: Sequence[Centroids]) -> Centroids:
        """Average prototypes by their counts."""
        return counted_mean(parts)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the squared distance to the prototype of the class, a mean over anchors and views."""
        state = FedProtoState.of(learner)
        # An agent that missed its turn to send has not classified the anchors yet.
        if state.fused is None or (self.labels == "own" and state.classes is None):
            return None
        values_KD, counts_K = state.fused
        classes_A = self._classes(learner)[anchors.ids]
        known_A = counts_K[classes_A] > 0
        if not bool(known_A.any()):
            return None
        targets_AD = values_KD[classes_A[known_A]]
        distances = [
            (exchange_embeddings(learner, pooled)[known_A] - targets_AD).pow(2).sum(dim=1).mean()
            for pooled in anchors.pooled
        ]
        return self.ramped_weight(learner) * torch.stack(distances).mean()

    def own_centroids(self, learner: Learner, turn: Turn) -> Centroids:
        """Return the mean embedding of each class of anchors, and the number of anchors in it."""
        mean_ND = learner.embed_anchors(self.crops, turn.round).mean(dim=0)
        if self.labels == "own":
            cosines_NK = own_label_cosines(learner, turn, self.crops, self.classes)
            FedProtoState.of(learner).classes = cosines_NK.argmax(dim=1)
        membership_NK = F.one_hot(self._classes(learner), self.classes).to(mean_ND.dtype)
        counts_K = membership_NK.sum(dim=0)
        return membership_NK.T @ mean_ND / counts_K[:, None].clamp(min=1.0), counts_K

    def _classes(self, learner: Learner) -> Tensor:
        """Return the class of each anchor `[N]`."""
        own = FedProtoState.of(learner).classes
        if own is not None:
            return own
        return torch.from_numpy(learner.anchor_clusters).to(learner.parameters.device)


def counted_mean(parts: Sequence[Centroids]) -> Centroids:
    """Average centroids row by row, weighted by their counts, which are added in the given order."""
    counts_K = torch.stack([counts for _, counts in parts]).sum(dim=0)
    mean_KD = torch.zeros_like(parts[0][0])
    for values_KD, each_K in parts:
        mean_KD = mean_KD + values_KD * (each_K / counts_K.clamp(min=1e-12))[:, None]
    return mean_KD, counts_K
