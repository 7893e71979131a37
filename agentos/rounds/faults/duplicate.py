"""Messages that arrive more than once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.rounds.faults.base import FaultContext, Letter, MessageFault


class Duplicate(MessageFault):
    """Messages arrive more than once; the bytes of every copy are counted, and all but one are rejected."""

    kind: Literal["duplicate"] = "duplicate"
    copies: int = Field(1, ge=1, le=100, description="Copies that arrive beside the message.")

    def carry(self, letter: Letter, moment: FaultContext) -> tuple[Letter, ...]:
        """Copy a message."""
        return (letter,) * (1 + self.copies if self.strikes(letter, moment) else 1)
