"""Cross-correlation of two views, over my batch and my neighbours'.

Legend: B private texts in a batch, D width of the exchange, M = 4 + D rows of moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from agents.exchange.anchors.anchor_contrast import exchange_width
from agents.exchange.base import (
    Announced,
    Expected,
    Learner,
    PrivateBatch,
    Turn,
    begin_round,
    once_a_round,
)
from agents.exchange.fusion import Weighted, weighted_mean
from agents.exchange.private.base import PrivateExchange, meeting
from agents.lazy_torch import torch
from protocols.messages import Message, Payload, Statistics
from protocols.topologies.hops import Direction

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_VARIANCE = 1e-8
"""Of a number of a normalised embedding, whose mean square is 1 / D."""


class DCCO(PrivateExchange):
    """Cross-correlation of private views: make numbers agree between views, and differ from each other.

    I send first and second moments of my normalised embeddings of the two views of my next batch: two means
    and two mean squares `[D]`, and the mean products of every number of one view with every number of the
    other `[D, D]`. Together with those of my own batch they give the correlation matrix C of the views over
    all these texts, as if they were one large batch; I learn
    ``(sum_i (1 - C_ii)^2 + redundancy * sum_(i != j) C_ij^2) / D``. My neighbours' moments are constants, as
    old as the exchange; the gradient with respect to the joint moments goes into my own at full strength, so
    that it does not fade as the society grows. The gradients of all agents, each by its share of the texts,
    add up to that of the one large batch, while moments are fresh (one local step per round).

    Peers hear their neighbours' moments. In a tree, every message is the sum over the side of the edge that
    it comes from, so that each agent has everybody else's, each once. No anchors are needed, and no text or
    embedding is sent; moments over few texts still say much about them.

    Agents of one society begin with the same encoder. The paper also keeps them equal, by averaging weights
    (a `hybrid` with ``weights`` does so); left to themselves they drift, and with unlike encoders, which meet
    in the exchange head, C is that of a mixture of spaces: a number may then mean something else to each, and
    only that it differs from the others is agreed upon.

    Sources: Vemulapalli et al., Federated Training of Dual Encoding Models on Small Non-IID Client Datasets
    (DCCO), 2022; the loss of Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction,
    2021, divided by D.
    """

    kind: Literal["dcco"] = "dcco"
    redundancy: float = Field(
        0.005, gt=0.0, description="Weight of correlations between different numbers."
    )

    def compose(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Send my own moments to peers; in a tree, to each recipient all but what came from it."""
        own = once_a_round(learner, turn, "own", lambda: self._next(learner))
        if turn.direction is Direction.PEER:
            return _pack(own)
        fresh = learner.memory.get("round") == turn.round
        heard = learner.memory["heard"] if fresh else {}
        return {
            recipient: _pack(weighted_mean([own, *_parts(heard, without=recipient)]))
            for recipient in turn.recipients
        }

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept moments in my own width."""
        width = exchange_width(learner)
        return Expected(
            Statistics,
            {"means": (2, width), "squares": (2, width), "products": (width, width)},
        )

    def announces(
        self, learner: Learner, turn: Turn, spoken_for: Sequence[int]
    ) -> Announced | None:
        """Announce a message to each by itself in a tree; see `Exchange.announces`."""
        said = super().announces(learner, turn, spoken_for)
        return said and replace(said, apart=turn.direction is not Direction.PEER)

    def scalars(self, learner: Learner, turn: Turn, spoken_for: Sequence[int]) -> Mapping[str, Any]:
        """Weigh as many texts as the moments are of; downwards, but those of the recipient's side."""
        below = turn.direction is Direction.DOWN
        return {"weight": float(learner.private_batch_size * max(1, len(spoken_for) - below))}

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep what came in this round, by sender, and its mean."""
        if not inbox:
            return
        if begin_round(learner, turn):
            learner.memory["heard"] = {}
        heard = learner.memory["heard"]
        for message in inbox:
            heard[message.envelope.sender] = _unpack(message.payload, learner)
        learner.memory["others"] = weighted_mean(_parts(heard))

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the loss of the joint correlation matrix; its gradient goes into my own moments."""
        others: Weighted | None = learner.memory.get("others")
        if others is None:
            return None
        own_MD = self._moments(learner, private)
        own: Weighted = own_MD.detach(), float(len(private.pooled[0]))
        joint_MD = weighted_mean([own, others])[0] + own_MD - own[0]
        return self.ramped_weight(learner) * redundancy_loss(joint_MD, self.redundancy)

    def _next(self, learner: Learner) -> Weighted:
        private = learner.preview()
        return self._moments(learner, private).detach(), float(len(private.pooled[0]))

    def _moments(self, learner: Learner, private: PrivateBatch) -> Tensor:
        first_BD, second_BD = (meeting(learner, pooled) for pooled in private.pooled[:2])
        return moments(first_BD, second_BD)


def moments(first_BD: Tensor, second_BD: Tensor) -> Tensor:
    """Return the moments of two views of B texts, `[4 + D, D]`.

    Rows: the means of both views, their mean squares, and the D rows of mean products, first by second.
    """
    with torch.autocast(first_BD.device.type, enabled=False):
        products_DD = first_BD.T @ second_BD / len(first_BD)
    views_VBD = torch.stack([first_BD, second_BD])
    return torch.cat([views_VBD.mean(dim=1), views_VBD.pow(2).mean(dim=1), products_DD])


def redundancy_loss(moments_MD: Tensor, redundancy: float) -> Tensor:
    """Return the loss of Barlow Twins, divided by D, of moments; see `moments`."""
    means, squares, products = moments_MD[:2], moments_MD[2:4], moments_MD[4:]
    deviations = (squares - means.pow(2)).clamp(min=_LEAST_VARIANCE).sqrt()
    correlations = (products - torch.outer(*means)) / torch.outer(*deviations)
    diagonal = correlations.diagonal()
    others = correlations.pow(2).sum() - diagonal.pow(2).sum()
    return ((1.0 - diagonal).pow(2).sum() + redundancy * others) / len(diagonal)


def _parts(heard: Mapping[int, Weighted], without: int | None = None) -> list[Weighted]:
    return [heard[sender] for sender in sorted(heard) if sender != without]


def _pack(weighted: Weighted) -> Payload:
    values = weighted[0].cpu().numpy()
    return Statistics(
        means=values[:2], squares=values[2:4], products=values[4:], weight=weighted[1]
    )


def _unpack(payload: Payload, learner: Learner) -> Weighted:
    assert isinstance(payload, Statistics)
    values = np.concatenate([payload.means, payload.squares, payload.products])
    # Moments of normalised embeddings lie between -1 and 1, whatever a neighbour says.
    return torch.from_numpy(values).to(learner.parameters.device).clamp(-1.0, 1.0), payload.weight
