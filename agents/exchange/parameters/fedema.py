"""Averaging of parameters that each agent adopts in part, by its divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from agents.exchange.base import ExchangeState, Learner
from agents.exchange.parameters.averaging import ParameterExchange, ParameterState
from agents.lazy_torch import Tensor, torch


@dataclass
class FedEMAState(ParameterState):
    """Result of the last exchange, and the agent's scale.

    Attributes:
        scale: lambda of the agent; None before its first exchange.
    """

    scale: float | None = None


class FedEMA(ParameterExchange):
    """FedEMA (Zhuang et al. 2022): average; agents keep more of their own parameters the more they diverge.

    With the result g of an exchange, an agent's parameters w become ``m w + (1 - m) g`` where
    ``m = min(lambda |g - w|, 1)``, the norm over all trained parameters. Each agent sets its lambda at its
    first exchange, so that m is tau there: ``lambda = tau / |g - w|``. In a tree, g goes down. So agents end
    with different parameters; with a tau of 0 this is ``fedavg``.

    Source: Zhuang et al., Divergence-aware Federated Self-Supervised Learning, 2022.
    """

    kind: Literal["fedema"] = "fedema"
    state_type: ClassVar[type[ExchangeState]] = FedEMAState
    keeps_received: ClassVar[bool] = True
    tau: float = Field(
        0.7,
        ge=0.0,
        le=1.0,
        description="Share of its own parameters that an agent keeps at its first exchange.",
    )

    def adopt(self, learner: Learner, result: Tensor) -> None:
        """Move towards the result, by a share that falls with the distance."""
        distance = float(torch.linalg.vector_norm(result - learner.parameters))
        if distance == 0.0:
            return
        state = FedEMAState.of(learner)
        if state.scale is None:
            state.scale = self.tau / distance
        learner.parameters.lerp_(result, 1.0 - min(state.scale * distance, 1.0))
