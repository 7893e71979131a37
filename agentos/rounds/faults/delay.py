"""Messages that arrive in a later round."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agentos.rounds.faults.base import FaultContext, Letter, MessageFault


class Delay(MessageFault):
    """Messages arrive some rounds later, when nobody expects them: they are rejected, and counted then."""

    kind: Literal["delay"] = "delay"
    by: int = Field(1, ge=1, description="Rounds after their own in which they arrive.")

    def carry(self, letter: Letter, moment: FaultContext) -> tuple[Letter, ...]:
        """Hold a message up."""
        if not self.strikes(letter, moment):
            return (letter,)
        return (letter._replace(rounds_late=letter.rounds_late + self.by),)
