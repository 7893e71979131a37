"""Averaging of parameters, of which every agent takes the more the less it has diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agents.exchange.base import Learner
from agents.exchange.parameters.averaging import ParameterExchange
from agents.lazy_torch import torch

if TYPE_CHECKING:
    from torch import Tensor


class FedEMA(ParameterExchange):
    """FedEMA: FedAvg or gossip, and every agent keeps the more of its own the further it has diverged.

    With the result g of an exchange, an agent's parameters w become ``m w + (1 - m) g`` where
    ``m = min(lambda |g - w|, 1)``, the norm over all trained parameters. Each agent sets its lambda at its
    first exchange, so that m is tau there: ``lambda = tau / |g - w|``. What goes down a tree is g. So agents
    end with parameters of their own; with a tau of 0 this is ``weights``.

    Source: Zhuang et al., Divergence-aware Federated Self-Supervised Learning, 2022.
    """

    kind: Literal["fedema"] = "fedema"
    keeps_received: ClassVar[bool] = True
    tau: float = Field(
        0.7, ge=0.0, le=1.0, description="What an agent keeps of its own at its first exchange."
    )

    def adopt(self, learner: Learner, result: Tensor) -> None:
        """Move towards the result, by a share that falls with the distance."""
        distance = float(torch.linalg.vector_norm(result - learner.parameters))
        if distance == 0.0:
            return
        scale = learner.memory.setdefault("lambda", self.tau / distance)
        learner.parameters.lerp_(result, 1.0 - min(scale * distance, 1.0))
