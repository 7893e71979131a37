"""Messages that are lost."""

from __future__ import annotations

from typing import Literal

from agentos.rounds.faults.base import FaultContext, MessageFault, Transmission


class Drop(MessageFault):
    """Messages are lost in flight; their bytes are counted, and `policy.retries` sends them again."""

    kind: Literal["drop"] = "drop"

    def transmit(self, message: Transmission, context: FaultContext) -> tuple[Transmission, ...]:
        """Lose a message."""
        return (message._replace(lost=True),) if self.strikes(message, context) else (message,)
