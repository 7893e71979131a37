"""Averaging of parameters, with local training held close to what was received."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agents.exchange.base import Learner
from agents.exchange.parameters.averaging import ParameterExchange

if TYPE_CHECKING:
    from torch import Tensor


class FedProx(ParameterExchange):
    """FedProx: FedAvg or gossip, and ``mu / 2 |w - w_received|^2`` in the loss of every local step.

    Its gradient ``mu (w - w_received)`` is added before the gradient is clipped and given to the optimizer.
    ``w_received`` is the result of the last exchange, before the first one the initial parameters; among
    peers it is the agent's own average with its neighbours. Everything else is as in ``weights``.

    Source: Li et al., Federated Optimization in Heterogeneous Networks, 2020.
    """

    kind: Literal["fedprox"] = "fedprox"
    keeps_received: ClassVar[bool] = True
    mu: float = Field(
        0.01, gt=0.0, description="Strength of the pull; the paper tries 0.001, 0.01, 0.1 and 1."
    )

    def correct(self, learner: Learner, gradient: Tensor) -> None:
        """Add the gradient of the proximal term."""
        gradient.add_(learner.parameters - learner.memory["received"], alpha=self.mu)
