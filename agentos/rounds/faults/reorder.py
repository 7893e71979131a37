"""Messages that arrive in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentos.rounds.faults.base import Fault, FaultContext, Transmission


class Reorder(Fault):
    """The messages of a hop arrive in a random order; agents sort them, so nothing else may change."""

    kind: Literal["reorder"] = "reorder"

    def arrange(self, inbox: Sequence[Transmission], context: FaultContext) -> list[Transmission]:
        """Shuffle the messages for one receiver."""
        if len(inbox) < 2:
            return list(inbox)
        order = context.generator("order", inbox[0].receiver).permutation(len(inbox))
        return [inbox[int(i)] for i in order]
