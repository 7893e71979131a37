"""Agents whose messages arrive late."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.rounds.faults.base import AgentFault, FaultContext, Transmission


class Stall(AgentFault):
    """The messages of some agents arrive late: the others wait, or continue at `policy.deadline_s`."""

    kind: Literal["stall"] = "stall"
    seconds: float = Field(..., gt=0.0, le=3600.0, description="How much later they arrive.")

    def transmit(self, message: Transmission, context: FaultContext) -> tuple[Transmission, ...]:
        """Delay a message."""
        if message.sender not in self.agents:
            return (message,)
        return (message._replace(arrival_s=message.arrival_s + self.seconds),)
