"""Isolated agents: the baseline of every other strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from agents.exchange.base import Announced, Exchange, Expected, Learner, Shown, Society, Turn
from protocols.messages import Control, Message, Payload


class Isolated(Exchange):
    """No exchange: each agent trains alone."""

    kind: Literal["isolated"] = "isolated"
    anchor_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Share of each batch that are public anchors, read as text like any other.",
    )

    @property
    def shows(self) -> frozenset[Shown]:
        """Return nothing: no message is sent."""
        return frozenset()

    @property
    def asynchronous(self) -> bool:
        """Return True: no agent waits for another."""
        return True

    @property
    def anchor_fraction(self) -> float:
        """Share of public anchors in each batch."""
        return self.anchor_share

    @property
    def learns_from_anchors(self) -> bool:
        """Return False: anchors are text like any other."""
        return False

    def check(self, society: Society) -> None:
        """Refuse a share that rounds to no anchor."""
        anchors = min(round(self.anchor_share * society.batch_size), society.anchors)
        if self.anchor_share and not anchors:
            raise ValueError(
                f"exchange.anchor_share {self.anchor_share} of training.batch_size "
                f"{society.batch_size} is no anchor, with data.anchors {society.anchors}; raise them, "
                "or set exchange.anchor_share to 0"
            )

    def is_due(self, round: int, rounds: int) -> bool:
        """Return False."""
        return False

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send nothing."""
        return None

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept only control messages, which no agent sends."""
        return Expected(Control, {})

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce nothing."""
        return None

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Do nothing: the inbox is empty."""
