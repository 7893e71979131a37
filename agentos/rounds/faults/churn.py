"""Agents that leave and join again."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.rounds.faults.base import Agents, Fault, FaultContext


class Churn(Fault):
    """Agents are away: they neither train nor send nor receive, and later continue from where they were.

    No agent expects messages of one that is away, so it does not count for a quorum.
    """

    kind: Literal["churn"] = "churn"
    agents: Agents | None = Field(
        None, min_length=1, description="Agents that are away in these rounds."
    )
    share: float | None = Field(
        None, gt=0.0, lt=1.0, description="Instead: probability that an agent is away in a round."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.agents is None) == (self.share is None):
            raise ValueError(
                "give either agents, which are away, or share, by which they are drawn"
            )
        return self

    def named(self) -> Agents:
        """Return the agents that are away, where they are named."""
        return self.agents or ()

    def absent(self, context: FaultContext, agents: int) -> frozenset[int]:
        """Return the agents that are away."""
        if self.share is None:
            return frozenset(self.named())
        drawn = context.generator("absent").random(agents)
        return frozenset(np.flatnonzero(drawn < self.share).tolist())
