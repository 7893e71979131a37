"""Messages that are lost."""

from __future__ import annotations

from typing import Literal

from agentos.rounds.faults.base import FaultContext, Letter, MessageFault


class Drop(MessageFault):
    """Messages are lost on their way; their bytes are counted, and `policy.retries` sends them again."""

    kind: Literal["drop"] = "drop"

    def carry(self, letter: Letter, moment: FaultContext) -> tuple[Letter, ...]:
        """Lose a message."""
        return (letter._replace(lost=True),) if self.strikes(letter, moment) else (letter,)
