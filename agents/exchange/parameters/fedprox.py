"""Averaging of parameters, with a proximal term in local training."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from agents.exchange.base import Learner
from agents.exchange.parameters.averaging import ParameterExchange, ParameterState
from agents.lazy_torch import Tensor


class FedProx(ParameterExchange):
    """FedProx (Li et al. 2020): average, and hold local training close to the result.

    Every local step has the term ``mu / 2 |w - w_received|^2`` in its loss. Its gradient
    ``mu (w - w_received)`` is added before the gradient is clipped and given to the optimizer. ``w_received``
    is the result of the last exchange, before the first one the initial parameters; among peers it is the
    agent's own average with its neighbours. Everything else is as in ``fedavg``.

    Source: Li et al., Federated Optimization in Heterogeneous Networks, 2020.
    """

    kind: Literal["fedprox"] = "fedprox"
    keeps_received: ClassVar[bool] = True
    mu: float = Field(
        0.01, gt=0.0, description="Strength of the pull; the paper tries 0.001, 0.01, 0.1 and 1."
    )

    def correct(self, learner: Learner, gradient: Tensor) -> None:
        """Add the gradient of the proximal term."""
        gradient.add_(learner.parameters - ParameterState.of(learner).anchor(), alpha=self.mu)
