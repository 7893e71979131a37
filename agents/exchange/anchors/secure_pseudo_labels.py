"""Pseudo-labels under a master that sees the sum of the agents' votes, and no agent's own.

Legend: N anchors, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agents.exchange.anchors.classes import ClassState
from agents.exchange.anchors.pseudo_labels import PseudoLabelExchange
from agents.exchange.base import ExchangeState, Learner, Society, Turn
from agents.exchange.private.secure_sum import MaskedRound, SecureSum
from agents.lazy_torch import torch
from protocols.messages import Payload


@dataclass
class SecureClassState(MaskedRound, ClassState):
    """Progress of a round, and the fused labels."""


class SecurePseudoLabels(SecureSum, PseudoLabelExchange):
    """Pseudo-labels with secure aggregation: the master learns a sum of soft labels, and no agent's votes.

    The result is that of ``pseudo_labels``, except for rounding. `SecureSum` describes the protocol, what it
    hides and what not. Only fusions of the mean can be computed from a sum: ``mean`` and ``era``. Bytes:
    eight for each anchor and class upwards, four downwards, and the keys.

    Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, 2017.
    """

    kind: Literal["secure_pseudo_labels"] = "secure_pseudo_labels"  # type: ignore[assignment]
    state_type: ClassVar[type[ExchangeState]] = SecureClassState
    teacher: Literal["neighbours", "own"] = Field(
        "neighbours",
        description="Source of the teaching signal. Control of a study: own, the agent's own message, and "
        "nothing is sent.",
    )

    @property
    def masks(self) -> bool:
        """Return whether agents exchange, and do not each teach themselves."""
        return self.teacher != "own"

    def check(self, society: Society) -> None:
        """Refuse fusions that compare votes, and other networks than a master with two slaves or more."""
        if not self.fusion.adds_up:
            raise ValueError(
                f"exchange.fusion {self.fusion.kind} compares the agents' votes, and "
                f"exchange.kind={self.kind} hides them; use the fusion mean or era, or exchange.kind "
                "pseudo_labels"
            )
        super().check(society)

    def form(self, learner: Learner) -> tuple[int, str]:
        """Return the numbers of a vote, and the anchors and classes that it is about."""
        return (
            learner.anchor_count * self.classes,
            f"{learner.anchor_count} anchors, {self.classes} classes",
        )

    def offered(self, learner: Learner, turn: Turn) -> NDArray[np.float64]:
        """Return the agent's soft labels `[N K]`."""
        own: NDArray[np.float64] = self.summarise(learner, turn).cpu().double().numpy().ravel()
        return own

    def result(self, learner: Learner, turn: Turn) -> Payload | None:
        """Return the fused labels of this round."""
        known = ClassState.of(learner).from_root
        settled = not self.masks or (known is not None and known[0] == turn.round)
        return PseudoLabelExchange.compose(self, learner, turn) if settled else None

    def settle(
        self, learner: Learner, mean: NDArray[np.float64], weight: float, turn: Turn
    ) -> None:
        """Fuse the slaves' mean with the master's own labels, for the slaves, and without them for itself."""
        mean_NK = torch.from_numpy(mean.astype(np.float32).reshape(-1, self.classes))
        self.absorb(learner, [(mean_NK.to(learner.parameters.device), weight)], turn)
