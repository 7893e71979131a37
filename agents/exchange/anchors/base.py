"""Common part of the strategies that exchange representations of public anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agents.exchange.base import (
    Announced,
    Exchange,
    ExchangeState,
    Heads,
    Learner,
    RoundState,
    Shown,
    Society,
    Turn,
)


class AnchorExchange(Exchange):
    """A strategy that exchanges representations of a public set of anchor texts."""

    state_type: ClassVar[type[ExchangeState]] = RoundState
    teacher: Literal["neighbours", "own", "shuffled"] = Field(
        "neighbours",
        description="Source of the teaching signal. Controls of a study: own, the agent's own message, and "
        "nothing is sent; shuffled, the neighbours' messages with their anchors permuted.",
    )
    anchor_share: float = Field(
        0.25, gt=0.0, lt=1.0, description="Share of each batch that are crops of public anchors."
    )
    weight: float = Field(1.0, gt=0.0, description="Factor of this loss in the total loss.")
    crops: int = Field(2, ge=1, le=16, description="Random crops embedded of every anchor.")
    dimension: int = Field(
        128,
        ge=2,
        description="Width that encoders of different widths project to; unused where widths agree.",
    )
    ramp: int = Field(2, ge=1, description="Exchanges over which the loss rises to its weight.")

    @property
    def shows(self) -> frozenset[Shown]:
        """The model's view of anchors; with `labels: own`, by the means of the agent's own classes."""
        if self.teacher == "own":
            return frozenset()
        return frozenset({"anchors", "own labels"} if self.wants_own_labels else {"anchors"})

    @property
    def anchor_fraction(self) -> float:
        """Share of public anchors in each batch."""
        return self.anchor_share

    def check(self, society: Society) -> None:
        """Refuse a society without anchors, or a batch that holds too few of them."""
        if society.anchors < 4:
            raise ValueError(
                f"{self.kind} exchanges representations of public anchors, and data.anchors is "
                f"{society.anchors}; set data.anchors to at least 4 (256 is usual)"
            )
        if round(self.anchor_share * society.batch_size) < 3:
            raise ValueError(
                f"exchange.anchor_share {self.anchor_share} of training.batch_size "
                f"{society.batch_size} leaves fewer than 3 anchors in a batch; raise one of them"
            )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a projection only where widths differ."""
        return Heads(exchange_dimension=self.dimension if len(widths) > 1 else 0)

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Announce nothing if each agent is its own teacher; see `Exchange.announces`."""
        return None if self.teacher == "own" else super().announces(learner, turn, represented)

    def ramped_weight(self, learner: Learner) -> float:
        """Return the weight of the loss after the agent's exchanges so far."""
        return RoundState.of(learner).ramped(self.weight, self.ramp)
