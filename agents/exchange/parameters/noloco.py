"""An outer optimizer without an all-reduce: momentum towards the average of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from agents.exchange.base import ExchangeState, Learner, Turn
from agents.exchange.parameters.averaging import ParameterExchange, ParameterState
from agents.lazy_torch import Tensor


@dataclass
class NoLoCoState(ParameterState):
    """Phi, the slow parameters, as `received`, and the outer optimizer's momentum.

    Attributes:
        velocity: `[P]`, delta of the last outer step; None before the first.
    """

    velocity: Tensor | None = None


class NoLoCo(ParameterExchange):
    """NoLoCo (Kolehmainen et al. 2025): outer momentum that also pulls a pair's slow parameters together.

    After H local steps (``every`` rounds of ``training.local_steps``) agent i has moved from its slow
    parameters phi_i to theta_i. With W the mixing matrix, halves for a pair, an outer step is

        delta_i <- alpha delta_i + beta sum_j W[i, j] (theta_j - phi_j) - gamma (phi_i - sum_j W[i, j] phi_j),
        phi_i <- phi_i + delta_i,    theta_i <- phi_i.

    The last term replaces the all-reduce of DiLoCo: phi differ between agents and are kept close by it alone.
    The paper draws pairs anew for every step, which is ``topology.kind: random_matching``;
    ``one_peer_exponential`` costs the same and mixes faster. In a tree all phi are equal, the last term is
    zero, and this is `diloco` with classical instead of Nesterov momentum.

    One vector travels, not two: the two sums are gamma sum_j W[i, j] x_j with
    ``x_j = phi_j + beta / gamma (theta_j - phi_j)``. With gamma = beta, as in the authors' code, x is theta.
    An agent without a partner keeps theta, phi and delta. The paper's random routing between the stages of a
    pipeline has no counterpart here: an agent holds all its layers.

    Sources: Kolehmainen et al., NoLoCo: No-all-reduce Low Communication Training Method for Large Models,
    2025; for the defaults, the configurations in https://github.com/jkolehm/noloco.
    """

    kind: Literal["noloco"] = "noloco"
    state_type: ClassVar[type[ExchangeState]] = NoLoCoState
    keeps_received: ClassVar[bool] = True
    outer_learning_rate: float = Field(
        0.7, gt=0.0, description="Beta, the weight of the pair's mean change."
    )
    outer_momentum: float = Field(0.5, ge=0.0, lt=1.0, description="Alpha, its momentum.")
    consensus: float = Field(
        0.7, gt=0.0, description="Gamma, the weight of the pull towards the pair's slow parameters."
    )

    def offer(self, learner: Learner, turn: Turn) -> Tensor:
        """Return x: slow parameters, moved along the agent's own change."""
        if self.consensus == self.outer_learning_rate:
            return learner.parameters
        phi = NoLoCoState.of(learner).anchor()
        return phi.lerp(learner.parameters, self.outer_learning_rate / self.consensus)

    def conclude(self, learner: Learner, fused: Tensor, turn: Turn) -> Tensor:
        """Take the outer step towards the fused x."""
        state = NoLoCoState.of(learner)
        velocity = (fused - state.anchor()).mul_(self.consensus)
        if state.velocity is not None:
            velocity.add_(state.velocity, alpha=self.outer_momentum)
        state.velocity = velocity
        return state.anchor() + velocity
