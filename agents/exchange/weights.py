"""Averaging of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from agents.exchange.base import Exchange, Expected, Learner, Society, Turn, begin_round
from agents.exchange.fusion import Weighted, weighted_mean
from agents.lazy import torch
from protocols.messages import Message, Payload, Weights
from protocols.topologies.base import Direction


class WeightAveraging(Exchange):
    """Parameters: FedAvg under a master, gossip among peers, level by level in layers.

    Peers replace their parameters by the mixing matrix's average over themselves and those they heard
    from; the share of a neighbour that was not heard falls to the agent itself. In a tree, every parent
    averages its subtree by numbers of documents, and the root's average replaces everybody's. Optimizer
    state stays private.

    Sources: McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data,
    2017; Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, 2017.
    """

    kind: Literal["weights"] = "weights"
    changes_parameters: ClassVar[bool] = True

    def check(self, society: Society) -> None:
        """Refuse unlike encoders: their parameters have no common meaning."""
        unlike = sorted({encoder.origin for encoder in society.encoders})
        if len(set(society.encoders)) > 1:
            raise ValueError(
                f"exchange.kind=weights averages parameters and needs one encoder for all agents, "
                f"here they differ ({', '.join(unlike)}); use an exchange of representations, such as "
                "anchor_contrast, or give every group the same encoder"
            )

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send my parameters to peers and downwards, my subtree's average upwards."""
        values, weight = learner.parameters, float(learner.examples)
        subtree = learner.memory.get("subtree")
        if turn.direction is Direction.UP and subtree is not None and subtree[0] == turn.round:
            values, weight = subtree[1], subtree[2]
        # Copied: a message must not change when its sender goes on training.
        return Weights(values=np.array(values.cpu().numpy()), weight=weight, layout=learner.layout)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept parameters laid out as mine."""
        return Expected(Weights, {"values": (len(learner.parameters),)}, learner.layout)

    def scalars(self, learner: Learner, turn: Turn, spoken_for: Sequence[int]) -> Mapping[str, Any]:
        """Weigh as many documents as the parameters were trained on; upwards, those of the subtree."""
        upwards = turn.direction is Direction.UP
        return {"weight": float(sum(spoken_for) if upwards else learner.examples)}

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Mix with peers; average the subtree below; obey the parent above."""
        if not inbox:
            return
        begin_round(learner, turn)
        received = [_read(message, learner) for message in inbox]
        if turn.direction is Direction.PEER:
            self._mix(learner, inbox, received, turn)
        elif turn.direction is Direction.DOWN:
            learner.parameters.copy_(received[0][0])
            learner.memory.pop("subtree", None)
        else:
            subtree = weighted_mean([(learner.parameters, float(learner.examples)), *received])
            if turn.is_top:
                learner.parameters.copy_(subtree[0])
            else:
                learner.memory["subtree"] = (turn.round, *subtree)

    def _mix(
        self, learner: Learner, inbox: Sequence[Message], received: Sequence[Weighted], turn: Turn
    ) -> None:
        shares = [turn.mixing.get(message.envelope.sender, 0.0) for message in inbox]
        mixed = learner.parameters * (1.0 - sum(shares))
        for (values, _), share in zip(received, shares, strict=True):
            mixed.add_(values, alpha=share)
        learner.parameters.copy_(mixed)


def _read(message: Message, learner: Learner) -> Weighted:
    payload = message.payload
    assert isinstance(payload, Weights)
    values = torch.from_numpy(np.array(payload.values)).to(learner.parameters.device)
    return values, payload.weight
