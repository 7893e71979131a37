"""Prototypes of all agents' private texts, clustered where they live and again where they meet.

Legend: B private texts in a batch, K centroids, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.anchors.anchor_contrast import exchange_width
from agents.exchange.base import Expected, Learner, PrivateBatch, Turn
from agents.exchange.private.base import PrivateExchange, meeting
from agents.exchange.private.gathering import Centroids, said, take_in
from agents.exchange.private.sinkhorn import cluster, sinkhorn
from agents.lazy_torch import torch
from protocols.messages import Message, Payload, Prototypes
from protocols.seeding import generator

if TYPE_CHECKING:
    from torch import Tensor

_SINKHORN_STEPS = 3  # as SwAV


class GlobalPrototypes(PrivateExchange):
    """Prototypes of private texts: cluster them locally, then jointly, and predict the joint clusters.

    I cluster crops of a sample of my private texts into K centroids and send these, each with the number of
    my texts that it stands for. Where centroids meet (at every parent of a tree on the way up, at every peer)
    they are clustered into K again, weighted by those numbers; in a tree the root's are for everybody. On
    each batch I assign both views of my texts to these prototypes, all equally full, and predict from each
    view the assignment of the other: ``CE(q2, softmax(z1 C / temperature))`` and the reverse. No anchors are
    needed. What is sent are means over private texts; one that stands for few texts says much about them.

    Agents of one society begin with the same encoder, so their spaces agree at first, and the common
    prototypes hold them together. Unlike encoders meet in the exchange head, where at first a prototype means
    something else to each; the loss trains the heads to fill the same places, but which texts go where is
    agreed upon only as far as the centroids that others send are predictable. Do not expect as much of it.

    Sources: Lubana et al., Orchestra: Unsupervised Federated Learning via Globally Consistent Clustering,
    2022; the loss of Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments (SwAV), 2020.
    """

    kind: Literal["prototypes"] = "prototypes"
    centroids: int = Field(16, ge=2, description="Clusters of each agent, and of all together.")
    sample: int = Field(
        256, ge=2, description="Private texts that an agent embeds for them in each exchange."
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
    def asynchronous(self) -> bool:
        """Yes: stale centroids stand for fewer texts."""
        return True

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my own centroids to peers, my subtree's upwards, and everybody's downwards."""
        return said(learner, turn, lambda: self._own(learner, turn))

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept as many centroids as I make, in my own width."""
        shape = (self.centroids, exchange_width(learner))
        return Expected(Prototypes, {"values": shape, "counts": shape[:1]})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Cluster my own centroids and those that came; from above, take what came."""

        def fuse(parts: Sequence[Centroids]) -> Centroids:
            rng = generator(learner.seed, "joint prototypes", learner.id, turn.round)
            values, counts = (torch.cat(each) for each in zip(*parts, strict=True))
            return cluster(values, counts, self.centroids, self.epsilon, rng)

        take_in(learner, inbox, turn, lambda: self._own(learner, turn), fuse)

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Predict from each view the other's assignment; a mean over both directions."""
        from agents.objectives import functional

        fused: Centroids | None = learner.memory.get("fused")
        if fused is None or not bool((fused[1] > 0).any()):
            return None
        prototypes_KD = fused[0][fused[1] > 0]
        first_BK, second_BK = (
            functional.cosines(meeting(learner, pooled), prototypes_KD)
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

    def _own(self, learner: Learner, turn: Turn) -> Centroids:
        points_ND = learner.embed_private(self.sample, turn.round)
        share = learner.examples / len(points_ND)
        weights_N = torch.full_like(points_ND[:, 0], share)
        rng = generator(learner.seed, "own prototypes", learner.id, turn.round)
        return cluster(points_ND, weights_N, self.centroids, self.epsilon, rng)
