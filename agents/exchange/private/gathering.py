"""Centroids on their way through a topology, fused with the agent's own wherever they arrive.

Peers fuse their own with their neighbours'. In a tree, centroids flow up, each parent fusing its own with its
children's, until the root has fused those of all agents; the result flows down unchanged.

Legend: K centroids, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.exchange.base import Learner, RoundState, Turn, once_a_round, to_tensor
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


def compose_centroids(learner: Learner, turn: Turn, own: Callable[[], Centroids]) -> Payload:
    """Return the agent's own centroids to peers and from the leaves, else those that it has fused."""
    state = CentroidState.of(learner)
    fused = None
    if turn.direction is not Direction.PEER and state.round == turn.round:
        fused = state.fused
    values, counts = fused or _own(state, turn, own)
    return Prototypes(values=values.cpu().numpy(), counts=counts.cpu().numpy())


def merge_centroids(
    learner: Learner,
    inbox: Sequence[Message],
    turn: Turn,
    own: Callable[[], Centroids],
    fuse: Callable[[Sequence[Centroids]], Centroids],
) -> None:
    """Keep centroids from above; fuse others with the agent's own."""
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
    state.fused = fuse([_own(state, turn, own), *weighed])


def _own(state: CentroidState, turn: Turn, own: Callable[[], Centroids]) -> Centroids:
    state.own = once_a_round(state.own, turn, own)
    return state.own[1]


def _read(payload: Payload, learner: Learner) -> Centroids:
    assert isinstance(payload, Prototypes)
    values, counts = to_tensor(payload.values, learner), to_tensor(payload.counts, learner)
    # A mean of normalised embeddings is in the unit ball; a sender may claim otherwise.
    return values / values.norm(dim=-1, keepdim=True).clamp(min=1.0), counts.clamp(max=_MOST)
