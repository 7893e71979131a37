"""An outer optimizer over the changes of many local steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.base import ExchangeState, Learner, Turn
from agents.exchange.parameters.averaging import Flat, ParameterExchange, ParameterState
from agents.lazy_torch import Tensor
from protocols.messages import WeightDeltas
from protocols.topologies.hops import Direction
from protocols.topologies.network import Network


@dataclass
class DiLoCoState(ParameterState):
    """Phi, as `received`, and the outer optimizer's momentum.

    Attributes:
        velocity: `[P]`; None before the first outer step.
        tokens: tokens that the agent had trained on when it received its last result.
    """

    velocity: Tensor | None = None
    tokens: int = 0


class DiLoCo(ParameterExchange):
    """DiLoCo (Douillard et al. 2023): an outer Nesterov step along the averaged change of many local steps.

    After H local steps (``every`` rounds of ``training.local_steps``) an agent has moved from phi, the result
    of the last exchange, to theta. Its outer gradient is ``d = phi - theta``, and an outer step is

        v <- momentum v + d,    phi <- phi - learning rate (d + momentum v).

    In a tree, outer gradients go up as `WeightDeltas`, averaged by documents or, as in Decoupled DiLoCo, by
    the tokens that an agent has trained on since its last result (`weighting`); only the root steps, and its
    phi goes down as parameters. With a learning rate of 1 and no momentum that is FedAvg.

    Among peers, each agent steps along its own d with its own v, sends its phi, and replaces it by the
    mixing matrix's average of its own and those received (gossip DiLoCo). On a complete graph, that is the
    same as under a master if agents have equally many documents. Momentum follows only the local changes;
    in NoLoCo (Kolehmainen et al., 2025) it follows disagreement too.

    The inner optimizer's state is private and continues. An agent without a result keeps theta, phi and v;
    its next d spans the time since its last result.

    Sources: Douillard et al., DiLoCo: Distributed Low-Communication Training of Language Models, 2023, and
    Decoupled DiLoCo for Resilient Distributed Pre-training, 2026; a
    momentum kept by each agent around gossip: Wang et al., SlowMo: Improving Communication-Efficient
    Distributed SGD with Slow Momentum, 2020.
    """

    kind: Literal["diloco"] = "diloco"
    state_type: ClassVar[type[ExchangeState]] = DiLoCoState
    keeps_received: ClassVar[bool] = True
    upwards: ClassVar[type[Flat]] = WeightDeltas
    outer_learning_rate: float = Field(
        0.7, gt=0.0, description="Learning rate of the outer optimizer."
    )
    outer_momentum: float = Field(0.9, ge=0.0, lt=1.0, description="Its Nesterov momentum.")
    weighting: Literal["documents", "tokens"] = Field(
        "documents",
        description="Weight of an agent's change in a tree: its documents, or the tokens that it has trained "
        "on since its last result.",
    )

    @model_validator(mode="after")
    def _weights_count(self) -> Self:
        if self.weighting == "tokens" and self.privacy is not None:
            raise ValueError(
                "weighting tokens sends the length of the private text in the open, which exchange.privacy "
                "does not cover; leave weighting at documents, or exchange.privacy out"
            )
        if self.weighting == "tokens" and self.fusion.kind != "mean":
            raise ValueError(
                f"weighting tokens has no effect under the fusion {self.fusion.kind}, which weighs all "
                "alike; use the fusion mean, or leave weighting at documents"
            )
        return self

    def check_network(self, network: Network) -> None:
        """Refuse token weights among peers, who weigh by the mixing matrix."""
        super().check_network(network)
        if self.weighting == "tokens" and network.family == "peer":
            raise ValueError(
                "exchange.weighting tokens needs a tree, and peers weigh each other by the topology's mixing "
                "matrix; use the topology master_slave or layered, or leave weighting at documents"
            )

    def weight(self, learner: Learner) -> float:
        """Return the agent's documents, or its tokens since its last result: at least 1."""
        if self.weighting == "documents":
            return super().weight(learner)
        return float(max(1, learner.tokens - DiLoCoState.of(learner).tokens))

    def adopt(self, learner: Learner, result: Tensor) -> None:
        """Adopt a result, and count tokens from here."""
        super().adopt(learner, result)
        DiLoCoState.of(learner).tokens = learner.tokens

    def offer(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the outer gradient to send upwards, or the phi after a peer's own outer step."""
        gradient = _outer_gradient(learner)
        return gradient if turn.direction is Direction.UP else self._step(learner, gradient)[0]

    def conclude(self, learner: Learner, fused: Tensor, turn: Turn) -> Tensor:
        """Take the root's step along the fused gradient; a peer has taken its own already."""
        state = DiLoCoState.of(learner)
        if turn.direction is Direction.UP:
            fused, state.velocity = self._step(learner, fused)
        else:
            state.velocity = self._step(learner, _outer_gradient(learner))[1]
        return fused

    def _step(self, learner: Learner, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next phi and v; the state is left as it was, so that a peer can compute them twice."""
        state, velocity = DiLoCoState.of(learner), gradient.clone()
        if state.velocity is not None:
            velocity.add_(state.velocity, alpha=self.outer_momentum)
        ahead = gradient.add(velocity, alpha=self.outer_momentum)
        return state.anchor().sub(ahead, alpha=self.outer_learning_rate), velocity


def _outer_gradient(learner: Learner) -> Tensor:
    return DiLoCoState.of(learner).anchor() - learner.parameters
