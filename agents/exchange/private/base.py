"""What strategies share that learn on the agents' own texts.

Legend: B private texts in a batch, D width of the exchange, W of the backbone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agents.exchange.base import Exchange, Heads, Learner
from agents.lazy_torch import F, torch

if TYPE_CHECKING:
    from torch import Tensor


class PrivateExchange(Exchange):
    """A strategy whose loss is computed on two views of each agent's private texts."""

    learns_from_private: ClassVar[bool] = True
    weight: float = Field(1.0, gt=0.0, description="Factor of this loss in the total loss.")
    dimension: int = Field(
        128, ge=2, description="Width in which unlike encoders meet; unused where widths agree."
    )
    ramp: int = Field(2, ge=1, description="Exchanges over which the loss rises to its weight.")

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a projection only where widths differ."""
        return Heads(exchange_dimension=self.dimension if len(widths) > 1 else 0)

    def ramped_weight(self, learner: Learner) -> float:
        """Return the weight after the exchanges that the agent has heard so far."""
        heard = int(learner.memory.get("exchanges", 0))
        return self.weight * min(1.0, heard / self.ramp)


def meeting(learner: Learner, pooled_BW: Tensor) -> Tensor:
    """Return embeddings as neighbours see them: `[B, D]`, normalised, attached to the graph.

    In float32 under autocast too, so that a step sees the very numbers that were sent before it.
    """
    with torch.autocast(pooled_BW.device.type, enabled=False):
        return F.normalize(learner.encoder.exchange_head(pooled_BW.float()), dim=-1)
