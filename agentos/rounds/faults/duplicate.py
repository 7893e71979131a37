"""Messages that arrive more than once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.rounds.faults.base import FaultContext, MessageFault, Transmission


class Duplicate(MessageFault):
    """Messages arrive more than once; the bytes of every copy are counted, and all but one are rejected."""

    kind: Literal["duplicate"] = "duplicate"
    copies: int = Field(
        1, ge=1, le=100, description="Copies that arrive in addition to the message."
    )

    def transmit(self, message: Transmission, context: FaultContext) -> tuple[Transmission, ...]:
        """Copy a message."""
        return (message,) * (1 + self.copies if self.strikes(message, context) else 1)
