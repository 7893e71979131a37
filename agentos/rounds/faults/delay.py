"""Messages that arrive in a later round."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.rounds.faults.base import FaultContext, MessageFault, Transmission


class Delay(MessageFault):
    """Messages arrive rounds later, when they are no longer expected: they are rejected, and counted then."""

    kind: Literal["delay"] = "delay"
    by: int = Field(1, ge=1, description="Rounds after their own in which they arrive.")

    def transmit(self, message: Transmission, context: FaultContext) -> tuple[Transmission, ...]:
        """Delay a message."""
        if not self.strikes(message, context):
            return (message,)
        return (message._replace(rounds_late=message.rounds_late + self.by),)
