"""Fusing summaries that can be averaged, along any topology.

Peers average what their neighbours sent. In a tree, summaries flow up, each parent adding its own to its
children's, until the root holds the mean over everybody; that mean flows down.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.exchange.base import AnchorExchange, Learner, Turn, begin_round
from agents.lazy import torch
from protocols.messages import Message, Payload
from protocols.topologies.base import Direction

if TYPE_CHECKING:
    from torch import Tensor

Weighted = tuple["Tensor", float]


def weighted_mean(parts: Sequence[Weighted]) -> Weighted:
    """Return the weighted mean of tensors and the sum of their weights, added in the given order."""
    total = sum(weight for _, weight in parts)
    mean = torch.zeros_like(parts[0][0])
    for values, weight in parts:
        mean.add_(values, alpha=weight / total)
    return mean, total


class FusedTeacher(AnchorExchange):
    """A strategy whose summaries of the anchors are averaged into one teacher."""

    @abstractmethod
    def summarise(self, learner: Learner, turn: Turn) -> Tensor:
        """Return this agent's own summary of the anchors."""

    @abstractmethod
    def pack(self, summary: Tensor, weight: float) -> Payload:
        """Make a payload of a summary that stands for `weight` agents."""

    @abstractmethod
    def unpack(self, payload: Payload, learner: Learner) -> Weighted:
        """Read a summary and its weight; the inverse of `pack`."""

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my own summary to peers, my subtree's upwards, and everybody's downwards."""
        return self.pack(*self._said(learner, turn))

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Average what came into the teacher; from above, what came is the teacher."""
        if not inbox:
            return
        begin_round(learner, turn)
        received = [self.unpack(message.payload, learner) for message in inbox]
        memory = learner.memory
        memory["teacher"] = weighted_mean(received)[0]
        if turn.direction is Direction.DOWN:
            memory["above"] = (turn.round, *received[0])
        elif turn.direction is Direction.UP:
            subtree = weighted_mean([(self.summarise(learner, turn), 1.0), *received])
            memory["above" if turn.is_top else "subtree"] = (turn.round, *subtree)

    def scalars(self, learner: Learner, turn: Turn, spoken_for: Sequence[int]) -> Mapping[str, Any]:
        """Weigh as many as the summary stands for."""
        return {"weight": float(len(spoken_for))}

    def _said(self, learner: Learner, turn: Turn) -> Weighted:
        remembered = {Direction.UP: "subtree", Direction.DOWN: "above"}.get(turn.direction)
        known = learner.memory.get(remembered) if remembered else None
        if known is not None and known[0] == turn.round:
            return known[1], known[2]
        return self.summarise(learner, turn), 1.0
