"""Cross-correlation of two views, over the agent's batch and its neighbours'.

Legend: B private texts in a batch, D width of the exchange, M = 4 + D rows of moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.exchange.base import (
    Announced,
    ExchangeState,
    Expected,
    Learner,
    PrivateBatch,
    RoundState,
    Turn,
    exchange_width,
    once_a_round,
)
from agents.exchange.fusion import Weighted, weighted_mean
from agents.exchange.private.base import PrivateExchange, exchange_embeddings
from agents.lazy_torch import Tensor, torch
from protocols.messages import Message, Payload, Statistics
from protocols.topologies.hops import Direction

_LEAST_VARIANCE = 1e-8
"""Smallest variance of a coordinate of a normalised embedding, whose mean square is 1 / D."""


@dataclass
class DCCOState(RoundState):
    """Moments by each neighbour.

    Attributes:
        own: round, and the moments `[M, D]` and size of the agent's own next batch.
        received: moments of this round and the number of texts that they are of, by sender.
        others: mean of the received moments, and the number of texts.
    """

    own: tuple[int, Weighted] | None = None
    received: dict[int, Weighted] = field(default_factory=dict)
    others: Weighted | None = None


class DCCO(PrivateExchange):
    """DCCO (Vemulapalli et al. 2022): decorrelate the coordinates of private views over all agents' batches.

    An agent sends first and second moments of its normalised embeddings of the two views of its next batch:
    two means and two mean squares `[D]`, and the mean products of every coordinate of one view with every
    coordinate of the other `[D, D]`. Together with those of its own batch, received moments give the
    correlation matrix C of the views over all these texts, as if they were one large batch; the loss is
    ``(sum_i (1 - C_ii)^2 + redundancy * sum_(i != j) C_ij^2) / D``. The neighbours' moments are constants, as
    old as the exchange; the gradient with respect to the joint moments goes into the agent's own at full
    strength, so that it does not shrink as the society grows. The gradients of all agents, each weighted by
    its share of the texts, add up to that of the one large batch, while moments are fresh (one local step per
    round).

    Peers receive their neighbours' moments. In a tree, every message is the sum over the side of the edge
    that it comes from, so that each agent has the moments of every other agent once. No anchors are needed,
    and no text or embedding is sent; moments over few texts still reveal much about them.

    Agents of one society begin with the same encoder. The paper also keeps them equal, by averaging
    parameters (a `hybrid` with ``fedavg`` does so); otherwise they drift, and with encoders of different
    widths, which share the space of the exchange head, C is that of a mixture of spaces: a coordinate may
    then mean something else to each agent, and they agree only on coordinates being uncorrelated.

    Sources: Vemulapalli et al., Federated Training of Dual Encoding Models on Small Non-IID Client Datasets
    (DCCO), 2022; the loss of Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction,
    2021, divided by D.
    """

    kind: Literal["dcco"] = "dcco"
    state_type: ClassVar[type[ExchangeState]] = DCCOState
    previews: ClassVar[bool] = True
    addresses_each: ClassVar[bool] = True
    redundancy: float = Field(
        0.005, gt=0.0, description="Weight of correlations between different coordinates."
    )

    def compose(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Send the agent's own moments to peers; in a tree, to each recipient all but its own side's."""
        state = DCCOState.of(learner)
        state.own = once_a_round(state.own, turn, lambda: self._next(learner))
        own = state.own[1]
        if turn.direction is Direction.PEER:
            return _pack(own)
        received = state.received if state.round == turn.round else {}
        return {
            recipient: _pack(weighted_mean([own, *_parts(received, without=recipient)]))
            for recipient in turn.recipients
        }

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept moments in the agent's own width."""
        width = exchange_width(learner)
        return Expected(
            Statistics,
            {"means": (2, width), "squares": (2, width), "products": (width, width)},
        )

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce a message for each recipient in a tree; see `Exchange.announces`."""
        announced = super().announces(learner, turn, represented)
        return announced and replace(announced, apart=turn.direction is not Direction.PEER)

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return as weight the number of texts; downwards, without those of the recipient's side."""
        below = turn.direction is Direction.DOWN
        return {"weight": float(learner.private_batch_size * max(1, len(represented) - below))}

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep the moments of this round by sender, and their mean."""
        if not inbox:
            return
        state = DCCOState.of(learner)
        if state.begin_round(turn):
            state.received = {}
        for message in inbox:
            state.received[message.envelope.sender] = _unpack(message.payload, learner)
        state.others = weighted_mean(_parts(state.received))

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the loss of the joint correlation matrix; its gradient goes into the agent's own moments."""
        others = DCCOState.of(learner).others
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
        first_BD, second_BD = (
            exchange_embeddings(learner, pooled) for pooled in private.pooled[:2]
        )
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


def _parts(received: Mapping[int, Weighted], without: int | None = None) -> list[Weighted]:
    return [received[sender] for sender in sorted(received) if sender != without]


def _pack(weighted: Weighted) -> Payload:
    values = weighted[0].cpu().numpy()
    return Statistics(
        means=values[:2], squares=values[2:4], products=values[4:], weight=weighted[1]
    )


def _unpack(payload: Payload, learner: Learner) -> Weighted:
    assert isinstance(payload, Statistics)
    values = np.concatenate([payload.means, payload.squares, payload.products])
    # Moments of normalised embeddings are between -1 and 1; a sender may claim otherwise.
    return torch.from_numpy(values).to(learner.parameters.device).clamp(-1.0, 1.0), payload.weight
