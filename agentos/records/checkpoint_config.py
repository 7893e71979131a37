"""The schedule of checkpoints."""

from __future__ import annotations

from pydantic import Field

from protocols.spec import Spec


class CheckpointConfig(Spec):
    """Checkpoints to resume from after a crash.

    One takes three times the trained parameters of every agent and, in an asynchronous run, the messages
    in flight.
    """

    every: int = Field(4, ge=0, description="Rounds between checkpoints; 0 for none.")
    keep: int = Field(2, ge=1, description="Latest checkpoints to keep.")

    def is_due(self, round: int, rounds: int) -> bool:
        """Return whether to write one after this round."""
        return self.every > 0 and (round == rounds or round > 0 == round % self.every)
