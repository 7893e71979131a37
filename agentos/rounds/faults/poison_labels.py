"""Agents that send the labels of some anchors as those of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentos.rounds.faults.base import AgentFault, Alteration, FaultContext
from protocols.messages import Payload


class PoisonLabels(AgentFault):
    """Agents permute what they send about the anchors at random: labels, logits, rankings or embeddings."""

    kind: Literal["poison_labels"] = "poison_labels"

    def alteration(self, agent: int, context: FaultContext) -> Alteration | None:
        """Return a function that permutes anchors."""
        return Mistaken(context, agent) if agent in self.agents else None

    def alters(self, payload: type[Payload]) -> bool:
        """Return whether a kind of payload has a row for each anchor."""
        return any("N" in array.dims for array in payload.array_fields.values())


@dataclass(frozen=True)
class Mistaken:
    """Permutes anchors; the sender's host calls it."""

    context: FaultContext
    agent: int

    def __call__(self, payload: Payload) -> Payload:
        """Return the payload with its anchors permuted."""
        anchors = {
            getattr(payload, name).shape[array.dims.index("N")]
            for name, array in payload.array_fields.items()
            if "N" in array.dims
        }
        if not anchors:  # a part of a hybrid whose payload has no anchors
            return payload
        order = self.context.generator("anchors", self.agent).permutation(anchors.pop())
        return payload.of_other_anchors(order)
