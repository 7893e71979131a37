"""The schedule of checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from protocols.spec import Spec


class CheckpointConfig(Spec):
    """Checkpoints to resume from after a crash, and to fork from.

    While a baseline runs, as many are kept of it as of the run. A checkpoint takes three times the trained
    parameters of every agent and, in an asynchronous run, the messages in flight.
    """

    every: int = Field(4, ge=0, description="Rounds between checkpoints; 0 for none.")
    keep: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        2,
        description="Latest checkpoints to keep of the run, to fork from; those of baselines go once it has "
        "finished. all keeps every one.",
    )

    def is_due(self, round: int, rounds: int) -> bool:
        """Return whether to write a checkpoint after this round."""
        return self.every > 0 and (round == rounds or round > 0 == round % self.every)
