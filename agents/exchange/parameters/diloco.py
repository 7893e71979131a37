"""Many local steps between exchanges, whose result an outer optimizer follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agents.exchange.base import Learner, Turn
from agents.exchange.parameters.averaging import Flat, ParameterExchange
from protocols.messages import WeightDeltas
from protocols.topologies.hops import Direction

if TYPE_CHECKING:
    from torch import Tensor


class DiLoCo(ParameterExchange):
    """DiLoCo: the change over many local steps is the gradient of an outer SGD with Nesterov momentum.

    After H local steps (``every`` rounds of ``training.local_steps``) an agent has moved from phi, the result
    of the last exchange, to theta. Its outer gradient is ``d = phi - theta``, and an outer step is

        v <- momentum v + d,    phi <- phi - learning rate (d + momentum v).

    In a tree, outer gradients go up as `WeightDeltas`, averaged by documents; the root alone steps, and its
    phi goes down as parameters. With a learning rate of 1 and no momentum that is FedAvg.

    Among peers, each agent steps along its own d with a v of its own, sends its phi, and replaces it by the
    mixing matrix's average of its own and those it heard (gossip DiLoCo). Among all with all, that is the
    same as under a master if agents have equally many documents. Momentum follows what was learnt alone;
    in NoLoCo (Kolehmainen et al., 2025) it follows disagreement too.

    The inner optimizer's state is private and goes on. An agent without a result keeps theta, phi and v; its
    next d spans the time since its last result.

    Sources: Douillard et al., DiLoCo: Distributed Low-Communication Training of Language Models, 2023; a
    momentum kept by each agent around gossip: Wang et al., SlowMo: Improving Communication-Efficient
    Distributed SGD with Slow Momentum, 2020.
    """

    kind: Literal["diloco"] = "diloco"
    keeps_received: ClassVar[bool] = True
    upwards: ClassVar[type[Flat]] = WeightDeltas
    outer_learning_rate: float = Field(
        0.7, gt=0.0, description="Learning rate of the outer optimizer."
    )
    outer_momentum: float = Field(0.9, ge=0.0, lt=1.0, description="Its Nesterov momentum.")

    def offer(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the outer gradient to send upwards, or the phi that a peer comes to by itself."""
        gradient = _outer_gradient(learner)
        return gradient if turn.direction is Direction.UP else self._step(learner, gradient)[0]

    def conclude(self, learner: Learner, fused: Tensor, turn: Turn) -> Tensor:
        """Take the root's step along the fused gradient; a peer has taken its own already."""
        if turn.direction is Direction.UP:
            fused, learner.memory["velocity"] = self._step(learner, fused)
        else:
            learner.memory["velocity"] = self._step(learner, _outer_gradient(learner))[1]
        return fused

    def _step(self, learner: Learner, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next phi and v; nothing is remembered, so that it can be asked for twice."""
        velocity = gradient.clone()
        if "velocity" in learner.memory:
            velocity.add_(learner.memory["velocity"], alpha=self.outer_momentum)
        ahead = gradient.add(velocity, alpha=self.outer_momentum)
        return learner.memory["received"].sub(ahead, alpha=self.outer_learning_rate), velocity


def _outer_gradient(learner: Learner) -> Tensor:
    received: Tensor = learner.memory["received"]
    return received - learner.parameters
