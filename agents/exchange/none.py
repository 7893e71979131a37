"""Agents that keep to themselves: the baseline of every other strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agents.exchange.base import Announced, Exchange, Expected, Learner, Turn
from protocols.messages import Control, Message, Payload


class Isolated(Exchange):
    """No exchange: every agent trains alone."""

    kind: Literal["none"] = "none"

    def is_due(self, round: int, rounds: int) -> bool:
        """Never."""
        return False

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Say nothing."""
        return None

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept only control messages, which nobody sends."""
        return Expected(Control, {})

    def announces(
        self, learner: Learner, turn: Turn, spoken_for: Sequence[int]
    ) -> Announced | None:
        """Announce nothing."""
        return None

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Ignore nothing, since nothing comes."""
