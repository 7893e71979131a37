"""Agents whose messages keep the others waiting."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.rounds.faults.base import AgentFault, FaultContext, Letter


class Stall(AgentFault):
    """The messages of some agents come late: the others wait, or go on at `policy.deadline_s`."""

    kind: Literal["stall"] = "stall"
    seconds: float = Field(..., gt=0.0, le=3600.0, description="How much later they arrive.")

    def carry(self, letter: Letter, moment: FaultContext) -> tuple[Letter, ...]:
        """Hold a message up."""
        if letter.sender not in self.agents:
            return (letter,)
        return (letter._replace(arrival_s=letter.arrival_s + self.seconds),)
