"""Centroids on their way through a topology, fused with the agent's own wherever they arrive.

Peers fuse their own with their neighbours'. In a tree, centroids flow up, each parent fusing its own with its
children's, until the root has fused those of all agents; the result flows down unchanged.

Legend: K centroids, D width of the exchange.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agents.exchange.base import (
    Exchange,
    ExchangeState,
    Expected,
    Learner,
    RoundState,
    Turn,
    exchange_width,
    once_a_round,
    to_tensor,
)
from agents.lazy_torch import Tensor
from protocols.messages import Message, Payload, Prototypes
from protocols.topologies.hops import Direction

Centroids = tuple[Tensor, Tensor]
"""Centres `[K, D]`, and the number of texts around each `[K]`; centres without texts are to be ignored."""

_MOST = 2.0**53
"""Largest count: sums of more could be infinite."""


@dataclass
class CentroidState(RoundState):
    """Fused centroids.

    Attributes:
        fused: latest centroids; None before the first exchange.
        own: round, and the agent's own centroids in it.
    """

    fused: Centroids | None = None
    own: tuple[int, Centroids] | None = None


class CentroidExchange(Exchange):
    """A strategy whose messages are centroids and the number of texts around each."""

    state_type: ClassVar[type[ExchangeState]] = CentroidState

    @property
    @abstractmethod
    def centres(self) -> int:
        """K, the number of centroids of a message."""

    @abstractmethod
    def own_centroids(self, learner: Learner, turn: Turn) -> Centroids:
        """Return the centroids of the agent's own embeddings."""

    @abstractmethod
    def fuse(self, learner: Learner, turn: Turn, parts: Sequence[Centroids]) -> Centroids:
        """Fuse the agent's own centroids, which come first, with those received."""

    @property
    def asynchronous(self) -> bool:
        """Return True: stale centroids are weighted as fewer texts."""
        return True

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's own centroids to peers, its subtree's upwards, and the root's downwards."""
        state = CentroidState.of(learner)
        fused = None
        if turn.direction is not Direction.PEER and state.round == turn.round:
            fused = state.fused
        values, counts = fused or self._own(state, learner, turn)
        return Prototypes(values=values.cpu().numpy(), counts=counts.cpu().numpy())

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept as many centroids as the agent sends, in its own width."""
        shape = (self.centres, exchange_width(learner))
        return Expected(Prototypes, {"values": shape, "counts": shape[:1]})

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Keep centroids from above unchanged; fuse others with the agent's own."""
        if not inbox:
            return
        state = CentroidState.of(learner)
        state.begin_round(turn)
        received = [_read(message.payload, learner) for message in inbox]
        if turn.direction is Direction.DOWN:
            state.fused = received[0]
            return
        discounts = [turn.discount(message.envelope.sender) for message in inbox]
        weighed = [
            (values, counts * d) for (values, counts), d in zip(received, discounts, strict=True)
        ]
        state.fused = self.fuse(learner, turn, [self._own(state, learner, turn), *weighed])

    def _own(self, state: CentroidState, learner: Learner, turn: Turn) -> Centroids:
        state.own = once_a_round(state.own, turn, lambda: self.own_centroids(learner, turn))
        return state.own[1]


def _read(payload: Payload, learner: Learner) -> Centroids:
    assert isinstance(payload, Prototypes)
    values, counts = to_tensor(payload.values, learner), to_tensor(payload.counts, learner)
    # A mean of normalised embeddings is in the unit ball; a sender may claim otherwise.
    return values / values.norm(dim=-1, keepdim=True).clamp(min=1.0), counts.clamp(max=_MOST)
