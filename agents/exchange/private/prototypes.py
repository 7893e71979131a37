"""Prototypes of all agents' private texts, clustered by each agent and again when they are fused.

Legend: B private texts in a batch, K centroids, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.base import ExchangeState, Learner, PrivateBatch, Turn
from agents.exchange.private.base import PrivateExchange, exchange_embeddings
from agents.exchange.private.centroid_exchange import CentroidExchange, Centroids, CentroidState
from agents.exchange.private.sinkhorn import cluster, sinkhorn
from agents.lazy_torch import Tensor, torch
from agents.objectives import functional
from protocols.seeding import generator

_SINKHORN_STEPS = 3  # as SwAV


class PrototypeExchange(CentroidExchange, PrivateExchange):
    """Orchestra (Lubana et al. 2022): cluster private texts jointly, and predict their clusters.

    An agent clusters crops of a sample of its private texts into K centroids and sends these, each with the
    number of texts that it represents. Wherever centroids are merged (at every parent of a tree on the way
    up, at every peer) they are clustered into K again, weighted by those numbers; in a tree all agents use
    the root's. On each batch an agent assigns both views of its texts to these prototypes, in equal shares,
    and predicts from each view the assignment of the other: ``CE(q2, softmax(z1 C / temperature))`` and the
    reverse. No anchors are needed. Messages hold means over private texts; a mean over few texts reveals much
    about them.

    Agents of one society begin with the same encoder, so their spaces agree at first, and the common
    prototypes keep them aligned. Encoders of different widths share the space of the exchange head, where at
    first a prototype means something else to each; the loss trains the heads to fill the same space, but the
    agents agree on the texts of each prototype only as far as their centroids are predictable. Expect less
    of it there.

    Sources: Lubana et al., Orchestra: Unsupervised Federated Learning via Globally Consistent Clustering,
    2022; the loss of Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments (SwAV), 2020.
    """

    kind: Literal["prototypes"] = "prototypes"
    state_type: ClassVar[type[ExchangeState]] = CentroidState
    centroids: int = Field(16, ge=2, description="Clusters of each agent, and of all together.")
    sample: int = Field(
        256, ge=2, description="Private texts that an agent embeds and clusters in each exchange."
    )
    temperature: float = Field(0.1, gt=0.0, le=10.0, description="Divides the cosines.")
    epsilon: float = Field(
        0.05, ge=0.01, le=10.0, description="Softness of the balanced assignments."
    )

    @model_validator(mode="after")
    def _sample_fills_centroids(self) -> Self:
        if self.sample < self.centroids:
            raise ValueError(
                f"exchange.sample {self.sample} is less than exchange.centroids {self.centroids}; "
                "raise exchange.sample or lower exchange.centroids"
            )
        return self

    @property
    def centres(self) -> int:
        """K, the clusters of each agent."""
        return self.centroids

    def fuse(self, learner: Learner, turn: Turn, parts: Sequence[Centroids]) -> Centroids:
        """Cluster all centroids into K again, weighted by their counts."""
        rng = generator(learner.seed, "joint prototypes", learner.id, turn.round)
        values, counts = (torch.cat(each) for each in zip(*parts, strict=True))
        return cluster(values, counts, self.centroids, self.epsilon, rng)

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Predict from each view the other's assignment; a mean over both directions."""
        fused = CentroidState.of(learner).fused
        if fused is None or not bool((fused[1] > 0).any()):
            return None
        prototypes_KD = fused[0][fused[1] > 0]
        first_BK, second_BK = (
            functional.cosines(exchange_embeddings(learner, pooled), prototypes_KD)
            for pooled in private.pooled[:2]
        )
        swapped = [
            functional.soft_cross_entropy(
                predicting / self.temperature,
                sinkhorn(assigned.detach(), self.epsilon, _SINKHORN_STEPS),
            )
            for predicting, assigned in ((first_BK, second_BK), (second_BK, first_BK))
        ]
        return self.ramped_weight(learner) * torch.stack(swapped).mean()

    def own_centroids(self, learner: Learner, turn: Turn) -> Centroids:
        """Cluster a sample of the agent's private texts."""
        points_ND = learner.embed_private(self.sample, turn.round)
        share = learner.examples / len(points_ND)
        weights_N = torch.full_like(points_ND[:, 0], share)
        rng = generator(learner.seed, "own prototypes", learner.id, turn.round)
        return cluster(points_ND, weights_N, self.centroids, self.epsilon, rng)
