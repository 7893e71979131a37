"""What all exchanges of parameters share: who sends what on which hop, and when it counts."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, overload

from pydantic import Field

from agents.exchange.base import Exchange, Expected, Learner, Society, Turn
from agents.exchange.inbox import abridged
from agents.exchange.parameters.error_feedback import compensated
from agents.exchange.parameters.robust_fusion import (
    PARAMETER_FUSIONS,
    Mean,
    ParameterFusion,
    Vector,
    tensor_of,
)
from protocols.codecs import Codec
from protocols.codecs.fp32 import Fp32
from protocols.messages import Message, Payload, WeightDeltas, Weights
from protocols.spec import Kinds
from protocols.topologies.hops import Direction
from protocols.topologies.network import RANDOM_WINDOW, Network

if TYPE_CHECKING:
    from torch import Tensor

    from agents.objectives.base import Reference

Flat = Weights | WeightDeltas


class ParameterExchange(Exchange, ABC):
    """A strategy in which agents fuse what they offer: their parameters, or how those changed.

    Peers send to their neighbours, and fuse what they heard with their own. In a tree, what is offered goes
    up, every parent fusing its children's with its own, until the root has the result. The result goes down
    as parameters: all hold the same again, those too that missed an earlier one.

    An agent that hears nobody, or fewer than the fusion needs, goes on as if there had been no exchange; in
    a tree it then has nothing to tell those below, and they go on likewise. Only what is trained is sent:
    nothing frozen and, of an encoder with adapters, the adapters alone. Optimizer state stays private.

    Bytes: four for each parameter, and a header, in every message of every kind.

    A learner's memory holds ``received`` and ``previous`` (see `Reference`; only where somebody wants them),
    ``subtree`` (the round, what the agent and all below it offer, their documents) and ``settled``, the round
    of its last result.
    """

    changes_parameters: ClassVar[bool] = True
    offers_reference: ClassVar[bool] = True
    keeps_received: ClassVar[bool] = False
    """Whether the strategy itself needs the parameters last received, or those of the beginning."""
    upwards: ClassVar[type[Flat]] = Weights
    """What goes up a tree; everything else is `Weights`."""

    fusion: Annotated[ParameterFusion, Kinds(PARAMETER_FUSIONS)] = Field(
        Mean(), description="How one vector is made of several: mean, median, trimmed_mean or krum."
    )

    @property
    def asynchronous(self) -> bool:
        """Whether the fusion heeds weights: a robust one takes stale parameters for as good as fresh ones."""
        return self.fusion.kind == "mean"

    def offer(self, learner: Learner, turn: Turn) -> Tensor:
        """Return what the agent brings into a fusion `[P]`; it may be a view of its parameters."""
        return learner.parameters

    def conclude(self, learner: Learner, fused: Tensor, turn: Turn) -> Tensor:
        """Return the parameters `[P]` that result from a fusion, among peers or at the root."""
        return fused

    def adopt(self, learner: Learner, result: Tensor) -> None:
        """Change the agent's parameters, now that it has a result `[P]`."""
        learner.parameters.copy_(result)

    def begin(self, learner: Learner) -> None:
        """Take the initial parameters for received, where the strategy needs them."""
        if self.keeps_received:
            learner.memory["received"] = learner.parameters.clone()

    def reference(self, learner: Learner) -> Reference | None:
        """Return what was received last, and the agent's parameters before; None before the first time."""
        from agents.objectives.base import Reference

        previous = learner.memory.get("previous")
        return None if previous is None else Reference(learner.memory["received"], previous)

    def check(self, society: Society) -> None:
        """Refuse unlike encoders, whose parameters have no common meaning, and too small a network."""
        unlike = sorted({encoder.origin for encoder in society.encoders})
        if len(set(society.encoders)) > 1:
            raise ValueError(
                f"exchange.kind={self.kind} averages parameters and needs one encoder for all agents, "
                f"here they differ ({', '.join(unlike)}); use an exchange of representations, such as "
                "anchor_contrast, or give every group the same encoder"
            )
        if society.network is not None:
            self.check_network(society.network)

    def check_network(self, network: Network) -> None:
        """Refuse a network in which somebody fuses fewer vectors than the fusion needs."""
        vectors, agent = _smallest(network) if self.fusion.fewest > 1 else (1, 0)
        if vectors < self.fusion.fewest:
            raise ValueError(
                f"exchange.fusion {self.fusion.kind} needs {self.fusion.fewest} vectors wherever agents "
                f"fuse, and agent-{agent} has {vectors}, its own included; use a topology with more "
                "neighbours or children, or another fusion"
            )

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Offer to peers and upwards; tell the result downwards, if there is one."""
        memory, documents = learner.memory, float(learner.examples)
        if turn.direction is Direction.DOWN:
            if memory.get("settled") != turn.round:
                return None
            return _pack(Weights, memory.get("received", learner.parameters), documents, learner)
        if turn.direction is Direction.PEER:
            return _pack(Weights, self.offer(learner, turn), documents, learner)
        subtree = memory.get("subtree")
        if subtree is None or subtree[0] != turn.round:
            subtree = turn.round, self.offer(learner, turn), documents
        values = subtree[1]
        if self.upwards is WeightDeltas:
            values = compensated(values, self.codec, memory)
        return _pack(self.upwards, values, subtree[2], learner)

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept numbers laid out as my parameters."""
        payload = self.upwards if turn.direction is Direction.UP else Weights
        return Expected(payload, {"values": (len(learner.parameters),)}, learner.layout)

    def scalars(self, learner: Learner, turn: Turn, spoken_for: Sequence[int]) -> Mapping[str, Any]:
        """Weigh as many documents as the parameters were trained on; upwards, those of the subtree."""
        upwards = turn.direction is Direction.UP
        return {"weight": float(sum(spoken_for) if upwards else learner.examples)}

    def codec_of(self, payload: type[Payload]) -> Codec:
        """Send changes in the codec; and parameters too, unless it keeps a few numbers of all alone."""
        sparse = self.codec.kind in ("top_k", "pca")
        return Fp32() if sparse and payload is Weights else self.codec

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Fuse what came from peers and from below; obey what came from above."""
        if not inbox:
            return
        if turn.direction is Direction.DOWN:
            values = tensor_of(_read(inbox[0]).values, learner.parameters)
            # Copied where it is kept: a payload is a view of a message buffer that is not ours.
            keeps = learner.looks_back or self.keeps_received
            self._settle(learner, values.clone() if keeps else values, turn)
            return
        if 1 + len(inbox) < self.fusion.fewest:
            return
        weights = _shares(learner, inbox, turn)
        fused = self.fusion.fuse(_Vectors(self.offer(learner, turn), inbox), weights)
        if turn.direction is Direction.PEER or turn.is_top:
            self._settle(learner, self.conclude(learner, fused, turn), turn)
        else:
            learner.memory["subtree"] = (turn.round, fused, sum(weights))

    def _settle(self, learner: Learner, result: Tensor, turn: Turn) -> None:
        memory = learner.memory
        if learner.looks_back:
            memory["previous"] = learner.parameters.clone()
        if learner.looks_back or self.keeps_received:
            memory["received"] = result
        self.adopt(learner, result)
        memory["settled"] = turn.round
        memory.pop("subtree", None)


class _Vectors(Sequence[Vector]):
    """The agent's own vector and those that it heard, which are read when they are asked for."""

    def __init__(self, own: Tensor, inbox: Sequence[Message]) -> None:
        self._own = own
        self._inbox = inbox

    def __len__(self) -> int:
        return 1 + len(self._inbox)

    @overload
    def __getitem__(self, index: int) -> Vector: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Vector]: ...
    def __getitem__(self, index: int | slice) -> Vector | Sequence[Vector]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        return _read(self._inbox[index - 1]).values if index else self._own


def _shares(learner: Learner, inbox: Sequence[Message], turn: Turn) -> list[float]:
    """Return the agent's own weight and those of all that it heard."""
    read = abridged(inbox)
    senders = [message.envelope.sender for message in read]
    if turn.direction is Direction.PEER:
        heard = [turn.mixing.get(each, 0.0) * turn.discount(each) for each in senders]
        # The share of a neighbour that was not heard, or is stale, falls to the agent itself.
        return [1.0 - sum(heard), *heard]
    heard = [_read(message).weight * turn.discount(message.envelope.sender) for message in read]
    return [float(learner.examples), *heard]


def _pack(payload: type[Flat], values: Tensor, weight: float, learner: Learner) -> Payload:
    return payload(values=values.cpu().numpy(), weight=weight, layout=learner.layout)


def _read(message: Message) -> Flat:
    assert isinstance(message.payload, (Weights, WeightDeltas))  # `expects` has seen to it
    return message.payload


def _smallest(network: Network) -> tuple[int, int]:
    """Return the fewest vectors that somebody fuses, its own included, and who; 2^31 for nobody."""
    rounds = range(network.period or RANDOM_WINDOW)
    hops = [hop for round in rounds for hop in network.hops(round)]
    fused = (
        (1 + len(hop.senders(agent)), agent)
        for hop in hops
        if hop.direction is not Direction.DOWN
        for agent in hop.participants
        if hop.senders(agent)
    )
    return min(fused, default=(2**31, 0))
