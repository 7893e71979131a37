"""A society that falls into disconnected parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.rounds.faults.base import Agents, Fault, FaultContext
from protocols.topologies.hops import Edge


class NetworkPartition(Fault):
    """The society falls into parts that exchange nothing; along the cut edges nothing is sent."""

    kind: Literal["network_partition"] = "network_partition"
    parts: int = Field(2, ge=2, description="Parts of similar size, drawn once.")
    groups: tuple[Agents, ...] | None = Field(
        None, min_length=1, description="The parts, instead; agents not named are another one."
    )

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        named = self.named()
        if len(set(named)) < len(named):
            raise ValueError("each agent may be in one group at most")
        return self

    def named(self) -> Agents:
        """Return the agents of all groups."""
        return tuple(agent for group in self.groups or () for agent in group)

    def cut(self, context: FaultContext, edges: Sequence[Edge], agents: int) -> frozenset[Edge]:
        """Return the edges between parts."""
        part = self._part_of(context, agents)
        return frozenset(edge for edge in edges if part[edge[0]] != part[edge[1]])

    def _part_of(self, context: FaultContext, agents: int) -> list[int]:
        if self.groups is None:
            # Drawn without round and hop, so that the parts are the same in every round.
            order = (
                FaultContext(context.seed, context.index, 0).generator("parts").permutation(agents)
            )
            groups = np.array_split(order, self.parts)
        else:
            groups = [np.array(group, dtype=np.int64) for group in self.groups]
        part = np.full(agents, -1)
        for number, group in enumerate(groups):
            part[group] = number
        return [int(number) for number in part]
