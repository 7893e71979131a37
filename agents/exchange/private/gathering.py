"""Centroids on their way through a topology: fused with my own wherever they arrive.

Peers fuse their own with their neighbours'. In a tree, centroids flow up, each parent fusing its own with its
children's, until the root holds everybody's; those flow down unchanged.

Legend: K centroids, D width of the exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from agents.exchange.base import Learner, Turn, begin_round, once_a_round
from agents.lazy_torch import torch
from protocols.messages import Message, Payload, Prototypes
from protocols.topologies.hops import Direction

if TYPE_CHECKING:
    from torch import Tensor

Centroids = tuple["Tensor", "Tensor"]
"""Centres `[K, D]`, and how many texts lie around each `[K]`; those with none are to be ignored."""

_MOST = 2.0**53
"""Largest count: sums of more could be infinite."""


def said(learner: Learner, turn: Turn, own: Callable[[], Centroids]) -> Payload:
    """Return what an agent sends: its own to peers and from the leaves, else what it has fused."""
    fused: Centroids | None = None
    if turn.direction is not Direction.PEER and learner.memory.get("round") == turn.round:
        fused = learner.memory.get("fused")
    values, counts = fused or once_a_round(learner, turn, "own", own)
    return Prototypes(values=values.cpu().numpy(), counts=counts.cpu().numpy())


def take_in(
    learner: Learner,
    inbox: Sequence[Message],
    turn: Turn,
    own: Callable[[], Centroids],
    fuse: Callable[[Sequence[Centroids]], Centroids],
) -> None:
    """Remember as ``fused`` what came from above, or the agent's own and what came, fused."""
    if not inbox:
        return
    begin_round(learner, turn)
    received = [_read(message.payload, learner) for message in inbox]
    if turn.direction is Direction.DOWN:
        learner.memory["fused"] = received[0]
        return
    discounts = [turn.discount(message.envelope.sender) for message in inbox]
    heard = [(values, counts * d) for (values, counts), d in zip(received, discounts, strict=True)]
    learner.memory["fused"] = fuse([once_a_round(learner, turn, "own", own), *heard])


def _read(payload: Payload, learner: Learner) -> Centroids:
    assert isinstance(payload, Prototypes)
    device = learner.parameters.device
    # Copied: the payload is a view of a message buffer that is not ours to keep.
    values = torch.from_numpy(np.array(payload.values)).to(device)
    counts = torch.from_numpy(np.array(payload.counts)).to(device)
    # A mean of normalised embeddings lies in the unit ball, whatever a neighbour says.
    return values / values.norm(dim=-1, keepdim=True).clamp(min=1.0), counts.clamp(max=_MOST)
