"""When checkpoints are written, and how many are kept."""

from __future__ import annotations

from pydantic import Field

from protocols.spec import Spec


class CheckpointConfig(Spec):
    """What is kept on disk to go on from after a crash.

    It takes three times the trained parameters per agent and, where nobody waits, the messages under way.
    """

    every: int = Field(4, ge=0, description="Rounds from one checkpoint to the next; 0 for none.")
    keep: int = Field(2, ge=1, description="Checkpoints that are kept, the latest ones.")

    def is_due(self, round: int, rounds: int) -> bool:
        """Whether to write one after this round."""
        return self.every > 0 and (round == rounds or round > 0 == round % self.every)
