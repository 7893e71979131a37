"""FedAvg under a master that sees the sum of the agents' parameters, and none of the parts.

Legend: P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from agents.exchange.base import ExchangeState, Learner, Society, Turn
from agents.exchange.parameters.averaging import ParameterExchange, ParameterState
from agents.exchange.private.secure_sum import MaskedRound, SecureSum
from agents.lazy_torch import torch
from protocols.messages import Payload


@dataclass
class SecureState(MaskedRound, ParameterState):
    """Progress of a round, and results of the agent's exchanges."""


class SecureFedAvg(SecureSum, ParameterExchange):
    """FedAvg with secure aggregation: the master learns a sum of parameters, and no agent's part.

    The result is that of ``fedavg``, except for rounding. `SecureSum` describes the protocol, what it hides
    and what not. Bytes: eight for each parameter upwards, four downwards, and the keys.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, 2017.
    """

    kind: Literal["secure_fedavg"] = "secure_fedavg"
    state_type: ClassVar[type[ExchangeState]] = SecureState

    def check(self, society: Society) -> None:
        """Refuse rules that need the parts, and other networks than a master with two slaves or more."""
        if self.fusion.kind != "mean":
            raise ValueError(
                f"exchange.fusion {self.fusion.kind} compares the agents' parameters, and "
                f"exchange.kind={self.kind} hides them; use the fusion mean, or exchange.kind fedavg"
            )
        super().check(society)

    def form(self, learner: Learner) -> tuple[int, str]:
        """Return the number of parameters, and the fingerprint of their layout."""
        return len(learner.parameters), learner.layout

    def offered(self, learner: Learner, turn: Turn) -> NDArray[np.float64]:
        """Return the agent's parameters `[P]`."""
        own: NDArray[np.float64] = learner.parameters.cpu().double().numpy()
        return own

    def share(self, learner: Learner) -> float:
        """Return the number of the agent's documents."""
        return float(learner.examples)

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return the number of the agent's documents."""
        return {"weight": self.share(learner)}

    def result(self, learner: Learner, turn: Turn) -> Payload | None:
        """Return the average of this round."""
        return ParameterExchange.compose(self, learner, turn)

    def settle(
        self, learner: Learner, mean: NDArray[np.float64], weight: float, turn: Turn
    ) -> None:
        """Add the master's own parameters, divide, and adopt the average."""
        own = self.share(learner)
        summed = mean * weight + own * self.offered(learner, turn)
        mean_P = torch.from_numpy((summed / (own + weight)).astype(np.float32))
        self._settle(learner, mean_P.to(learner.parameters.device), turn)
