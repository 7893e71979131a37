"""Agents that say of some anchors what they found of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentos.rounds.faults.base import AgentFault, FaultContext, Lie
from protocols.messages import Payload


class PoisonLabels(AgentFault):
    """Agents exchange what they say of the anchors at random: labels, logits, rankings or embeddings."""

    kind: Literal["poison_labels"] = "poison_labels"

    def lie(self, agent: int, moment: FaultContext) -> Lie | None:
        """Return a function that mistakes anchors."""
        return Mistaken(moment, agent) if agent in self.agents else None

    def concerns(self, payload: type[Payload]) -> bool:
        """Whether a kind of payload speaks of anchors one by one."""
        return any("N" in array.dims for array in payload.array_fields.values())


@dataclass(frozen=True)
class Mistaken:
    """Takes each anchor for another; the sender's host calls it."""

    moment: FaultContext
    agent: int

    def __call__(self, payload: Payload) -> Payload:
        """Return the payload as if it spoke of other anchors."""
        anchors = {
            getattr(payload, name).shape[array.dims.index("N")]
            for name, array in payload.array_fields.items()
            if "N" in array.dims
        }
        if not anchors:  # a part of a hybrid that does not speak of anchors
            return payload
        order = self.moment.generator("anchors", self.agent).permutation(anchors.pop())
        return payload.of_other_anchors(order)
