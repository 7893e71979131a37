"""Common part of the strategies that learn on the agents' own texts.

Legend: B private texts in a batch, D width of the exchange, W of the backbone.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from agents.exchange.base import Exchange, ExchangeState, Heads, Learner, RoundState, Shown
from agents.lazy_torch import F, Tensor, torch


class PrivateExchange(Exchange):
    """A strategy whose loss is computed on two views of each agent's private texts."""

    state_type: ClassVar[type[ExchangeState]] = RoundState
    learns_from_private: ClassVar[bool] = True
    weight: float = Field(1.0, gt=0.0, description="Factor of this loss in the total loss.")
    dimension: int = Field(
        128,
        ge=2,
        description="Width that encoders of different widths project to; unused where widths agree.",
    )
    ramp: int = Field(2, ge=1, description="Exchanges over which the loss rises to its weight.")

    @property
    def shows(self) -> frozenset[Shown]:
        """Embeddings of private text, or statistics of them."""
        return frozenset({"private text"})

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a projection only where widths differ."""
        return Heads(exchange_dimension=self.dimension if len(widths) > 1 else 0)

    def ramped_weight(self, learner: Learner) -> float:
        """Return the weight of the loss after the agent's exchanges so far."""
        return RoundState.of(learner).ramped(self.weight, self.ramp)


def exchange_embeddings(learner: Learner, pooled_BW: Tensor) -> Tensor:
    """Return embeddings in the exchange's space: `[B, D]`, normalised, attached to the graph.

    In float32 under autocast too, so that a training step has the same numbers as the message before it.
    """
    with torch.autocast(pooled_BW.device.type, enabled=False):
        return F.normalize(learner.encoder.exchange_head(pooled_BW.float()), dim=-1)
