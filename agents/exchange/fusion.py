"""Fusing summaries of the anchors, along any topology.

Peers fuse what their neighbours sent. In a tree, summaries flow up, each parent adding its own to its
children's, until the root has heard of everybody; what it fuses of them flows down.

Summaries of which a mean is made are averaged on the way up, and weigh by the agents that they stand for.
Those that have to be compared with each other travel up side by side, so that a message grows with the
subtree.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.exchange.base import AnchorExchange, Learner, Turn, begin_round
from agents.lazy_torch import torch
from protocols.messages import Message, Payload
from protocols.topologies.hops import Direction

if TYPE_CHECKING:
    from torch import Tensor

Weighted = tuple["Tensor", float]
Part = tuple[Any, float]
"""A summary (a tensor, or a tuple of some), and the number of agents that it stands for."""


def weighted_mean(parts: Sequence[Weighted]) -> Weighted:
    """Return the weighted mean of tensors and the sum of their weights, added in the given order."""
    total = sum(weight for _, weight in parts)
    mean = torch.zeros_like(parts[0][0])
    for values, weight in parts:
        mean.add_(values, alpha=weight / total)
    return mean, total


class FusedTeacher(AnchorExchange):
    """A strategy whose summaries of the anchors are fused into one teacher: their mean, by default."""

    @property
    def asynchronous(self) -> bool:
        """Yes: a stale summary stands for fewer agents."""
        return True

    @abstractmethod
    def summarise(self, learner: Learner, turn: Turn) -> Any:
        """Return this agent's own summary of the anchors."""

    @abstractmethod
    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of summaries: of one, or of those that `gather` returned."""

    @abstractmethod
    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read summaries; the inverse of `pack`."""

    def judge(self, learner: Learner, parts: list[Part], turn: Turn) -> list[Part]:
        """Return what came from peers or from below, each weighed as the agent trusts it."""
        return parts

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Any:
        """Make one teacher of summaries."""
        return weighted_mean(parts)[0]

    def gather(self, parts: Sequence[Part]) -> list[Part]:
        """Return what goes up for a subtree."""
        return [weighted_mean(parts)]

    def open_size(self, spoken_for: Sequence[int]) -> int | None:
        """As many summaries, where they travel side by side, as there are agents who speak."""
        return len(spoken_for)

    def scalars(self, learner: Learner, turn: Turn, spoken_for: Sequence[int]) -> Mapping[str, Any]:
        """Weigh as many as the summary stands for."""
        return {"weight": float(len(spoken_for))}

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my own summary to peers, my subtree's upwards, and everybody's downwards."""
        remembered = {Direction.UP: "subtree", Direction.DOWN: "above"}.get(turn.direction)
        known = learner.memory.get(remembered) if remembered else None
        if known is not None and known[0] == turn.round:
            return self.pack(known[1], turn)
        own = [(self.summarise(learner, turn), 1.0)]
        # What goes down is fused; who heard nobody is all that it has heard of.
        down = turn.direction is Direction.DOWN
        return self.pack([(self.fuse(learner, own), 1.0)] if down else own, turn)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Fuse what came into the teacher; from above, what came is the teacher."""
        if not inbox:
            return
        begin_round(learner, turn)
        received = [
            (values, weight * turn.discount(message.envelope.sender))
            for message in inbox
            for values, weight in self.unpack(message.payload, learner)
        ]
        memory = learner.memory
        if turn.direction is Direction.DOWN:
            memory["teacher"], memory["above"] = received[0][0], (turn.round, received)
            return
        received = self.judge(learner, received, turn)
        memory["teacher"] = self.fuse(learner, received)
        if turn.direction is Direction.UP:
            heard = [(self.summarise(learner, turn), 1.0), *received]
            if turn.is_top:
                everybody = (self.fuse(learner, heard), sum(weight for _, weight in heard))
                memory["above"] = (turn.round, [everybody])
            else:
                memory["subtree"] = (turn.round, self.gather(heard))
