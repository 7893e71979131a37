"""The schedule of checkpoints."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from protocols.spec import Spec

KEPT_UNDER_WAY = 2
"""Checkpoints of a run under way: if the latest is damaged, there is one before it."""


class CheckpointConfig(Spec):
    """Checkpoints to resume from after a crash, and to fork from.

    While a baseline runs, as many are kept of it as of the run. A checkpoint takes three times the trained
    parameters of every agent and, in an asynchronous run, the messages in flight.
    """

    every: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="Rounds between checkpoints; the last round has one too. 0 for none; auto: as many as "
        "keep to share.",
    )
    share: float = Field(
        0.005,
        gt=0.0,
        le=1.0,
        description="Bytes that checkpoints may take, as a share of those that optimizer steps write, which "
        "are as many in a step as in a checkpoint: 0.005 is a checkpoint every 200 steps.",
    )
    keep: Annotated[int, Field(ge=1)] | Literal["all"] | None = Field(
        None,
        description="Latest checkpoints to keep of the run, or all. Unset: two while the run is under way, "
        "and none once it has finished. Set it to fork a finished run.",
    )

    def interval(self, local_steps: int) -> int:
        """Return the rounds between checkpoints, 0 for none, of a run with so many steps in a round.

        Example:
            >>> config = CheckpointConfig()
            >>> config.interval(local_steps=50), config.interval(local_steps=1)
            (4, 200)
        """
        if self.every == "auto":
            return math.ceil(1 / (self.share * local_steps))
        return self.every

    def is_due(self, round: int, rounds: int, local_steps: int) -> bool:
        """Return whether to write a checkpoint after this round.

        With ``auto``, a run that is shorter than the interval has none.

        Args:
            round: the round, 0 for the start.
            rounds: rounds of the run.
            local_steps: optimizer steps of a round.
        """
        interval = self.interval(local_steps)
        if not interval or not round or (self.every == "auto" and rounds < interval):
            return False
        return round == rounds or round % interval == 0
