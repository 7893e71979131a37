"""Common part of the strategies that exchange parameters: messages by hop, fusion, and results."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, overload

from pydantic import Field

from agents.exchange.base import Exchange, ExchangeState, Expected, Learner, Shown, Society, Turn
from agents.exchange.inbox import abridged
from agents.exchange.parameters.error_feedback import compensated
from agents.exchange.parameters.robust_fusion import (
    PARAMETER_FUSIONS,
    Mean,
    ParameterFusion,
    Vector,
    tensor_of,
)
from agents.exchange.privacy.protection import Arrays
from agents.lazy_torch import Tensor
from agents.objectives.base import Reference
from protocols.codecs import Codec
from protocols.codecs.fp32 import Fp32
from protocols.messages import Message, Payload, WeightDeltas, Weights
from protocols.spec import Kinds
from protocols.topologies.hops import Direction
from protocols.topologies.network import RANDOM_WINDOW, Network

Flat = Weights | WeightDeltas


@dataclass
class ParameterState(ExchangeState):
    """Results of an agent's exchanges.

    Attributes:
        received: `[P]`, last result, or the initial parameters; only where the strategy or an objective
            needs it.
        previous: `[P]`, the agent's parameters just before that result; only where an objective needs it.
        subtree: round, fused vector `[P]` of the agent and all below it, and the sum of their weights.
        settled: round of the last result; 0 before the first.
        residual: `[P]`, error feedback of a lossy codec; see `agents.exchange.parameters.error_feedback`.
    """

    received: Tensor | None = None
    previous: Tensor | None = None
    subtree: tuple[int, Tensor, float] | None = None
    settled: int = 0
    residual: Tensor | None = None

    def anchor(self) -> Tensor:
        """Return the parameters last received, for a strategy that keeps them from the beginning.

        Raises:
            ValueError: there are no parameters.
        """
        if self.received is None:
            raise ValueError("no parameters were received: set `keeps_received` of the strategy")
        return self.received


class ParameterExchange(Exchange, ABC):
    """A strategy in which agents fuse vectors that they offer: their parameters, or changes of these.

    Peers send to their neighbours, and fuse what they receive with their own. In a tree, offers go up, every
    parent fusing its children's with its own, until the root has the result. The result goes down as
    parameters: all agents are equal again, including those that missed an earlier result.

    An agent that receives nothing, or fewer vectors than the fusion needs, continues as if there had been no
    exchange; in a tree it then sends nothing downwards, and its subtree continues likewise. Only trained
    parameters are sent: nothing frozen and, of an encoder with adapters, only the adapters. Optimizer state
    stays private, and so do buffers, such as the running statistics of BatchNorm (Li et al., FedBN, 2021).

    Bytes: four for each parameter, and a header, in every message of every kind.
    """

    state_type: ClassVar[type[ExchangeState]] = ParameterState
    changes_parameters: ClassVar[bool] = True
    offers_reference: ClassVar[bool] = True
    keeps_received: ClassVar[bool] = False
    """Whether the strategy itself needs the parameters last received (initially, its own)."""
    upwards: ClassVar[type[Flat]] = Weights
    """Payload that goes up a tree; all others are `Weights`."""

    fusion: Annotated[ParameterFusion, Kinds(PARAMETER_FUSIONS)] = Field(
        Mean(), description="Rule that fuses vectors: mean, median, trimmed_mean or krum."
    )

    @property
    def shows(self) -> frozenset[Shown]:
        """Parameters, or their changes."""
        return frozenset({"parameters"})

    @property
    def asynchronous(self) -> bool:
        """Return whether the fusion uses weights: a robust one would not weigh stale parameters down."""
        return self.fusion.kind == "mean"

    def offer(self, learner: Learner, turn: Turn) -> Tensor:
        """Return the agent's vector `[P]` for a fusion; it may be a view of its parameters."""
        return learner.parameters

    def conclude(self, learner: Learner, fused: Tensor, turn: Turn) -> Tensor:
        """Return the parameters `[P]` that result from a fusion, among peers or at the root."""
        return fused

    def weight(self, learner: Learner) -> float:
        """Return the weight of the agent's own vector in a tree: its number of documents."""
        return float(learner.examples)

    def excerpt(self, learner: Learner, parameters: Tensor, turn: Turn) -> Tensor:
        """Return the part of parameters `[P]` that this exchange is about; by default all of them."""
        return parameters

    def restore(self, learner: Learner, excerpt: Tensor, turn: Turn) -> Tensor:
        """Return the parameters `[P]` that an excerpt stands for, with the agent's own for the rest."""
        return excerpt

    def layout(self, learner: Learner, turn: Turn) -> str:
        """Return the fingerprint of the vector that is sent in this exchange."""
        return learner.layout

    def adopt(self, learner: Learner, result: Tensor) -> None:
        """Change the agent's parameters in place by a result `[P]`."""
        learner.parameters.copy_(result)

    def initial_state(self, learner: Learner) -> ExchangeState:
        """Take the initial parameters as received, where the strategy needs them."""
        state = super().initial_state(learner)
        if self.keeps_received:
            ParameterState.narrow(state).received = learner.parameters.clone()
        return state

    def reference(self, learner: Learner) -> Reference | None:
        """Return the parameters last received, and the agent's own just before; None before the first."""
        state = ParameterState.of(learner)
        return None if state.previous is None else Reference(state.anchor(), state.previous)

    def check(self, society: Society) -> None:
        """Refuse different encoders, whose parameters do not correspond, and too small a network."""
        check_one_encoder(self.kind, society)
        if society.network is not None:
            self.check_network(society.network)

    def check_network(self, network: Network) -> None:
        """Refuse a network in which an agent fuses fewer vectors than the fusion needs."""
        vectors, agent = _smallest(network) if self.fusion.fewest > 1 else (1, 0)
        if vectors < self.fusion.fewest:
            raise ValueError(
                f"exchange.fusion {self.fusion.kind} needs {self.fusion.fewest} vectors wherever agents "
                f"fuse, and agent-{agent} has {vectors}, its own included; use a topology with more "
                "neighbours or children, or another fusion"
            )

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's offer to peers and upwards; send a result of this round downwards."""
        state, weight = ParameterState.of(learner), self.weight(learner)
        if turn.direction is Direction.DOWN:
            if state.settled != turn.round:
                return None
            result = learner.parameters if state.received is None else state.received
            sent = self.excerpt(learner, result, turn)
            return _pack(Weights, sent, weight, self.layout(learner, turn))
        if turn.direction is Direction.PEER:
            layout = self.layout(learner, turn)
            return _pack(Weights, self.offer(learner, turn), weight, layout)
        subtree = state.subtree
        if subtree is None or subtree[0] != turn.round:
            subtree = turn.round, self.offer(learner, turn), weight
        values = subtree[1]
        if self.upwards is WeightDeltas:
            values, state.residual = compensated(values, self.codec, state.residual)
        return _pack(self.upwards, values, subtree[2], self.layout(learner, turn))

    def known(self, learner: Learner, payload: type[Payload], turn: Turn) -> Arrays:
        """Return the initial parameters, where parameters are sent."""
        if payload is not Weights:
            return {}
        return {"values": self.excerpt(learner, learner.initial_parameters, turn).cpu().numpy()}

    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Accept a vector in the layout of the agent's own parameters."""
        payload = self.upwards if turn.direction is Direction.UP else Weights
        return Expected(payload, {"values": (len(learner.parameters),)}, learner.layout)

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return as weight the number of the agent's documents; upwards, of its subtree's."""
        upwards = turn.direction is Direction.UP
        return {"weight": float(sum(represented) if upwards else learner.examples)}

    def codec_of(self, payload: type[Payload]) -> Codec:
        """Use the codec for changes, and for parameters unless it drops most of the numbers."""
        sparse = self.codec.kind in ("top_k", "pca")
        return Fp32() if sparse and payload is Weights else self.codec

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Fuse vectors from peers and children; adopt a result from above."""
        if not inbox:
            return
        if turn.direction is Direction.DOWN:
            values = tensor_of(_read(inbox[0]).values, learner.parameters)
            # Copied if it is kept: a payload is a view of a message buffer, reused after the hop.
            keeps = learner.wants_reference or self.keeps_received
            self._settle(learner, values.clone() if keeps else values, turn)
            return
        if 1 + len(inbox) < self.fusion.fewest:
            return
        weights = _shares(self.weight(learner), inbox, turn)
        fused = self.fusion.fuse(_Vectors(self.offer(learner, turn), inbox), weights)
        if turn.direction is Direction.PEER or turn.is_top:
            self._settle(learner, self.conclude(learner, fused, turn), turn)
        else:
            ParameterState.of(learner).subtree = (turn.round, fused, sum(weights))

    def _settle(self, learner: Learner, result: Tensor, turn: Turn) -> None:
        state, result = ParameterState.of(learner), self.restore(learner, result, turn)
        if learner.wants_reference:
            state.previous = learner.parameters.clone()
        if learner.wants_reference or self.keeps_received:
            state.received = result
        self.adopt(learner, result)
        state.settled = turn.round
        state.subtree = None


class _Vectors(Sequence[Vector]):
    """The agent's own vector and those received, each read from its message on access."""

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


def check_one_encoder(kind: str, society: Society) -> None:
    """Refuse different encoders, whose parameters do not correspond.

    Raises:
        ValueError: with the encoders.
    """
    if len(set(society.encoders)) > 1:
        origins = sorted({encoder.origin for encoder in society.encoders})
        raise ValueError(
            f"exchange.kind={kind} averages parameters and needs one encoder for all agents, "
            f"here they differ ({', '.join(origins)}); use an exchange of representations, such as "
            "anchor_contrast, or give every group the same encoder"
        )


def _shares(own: float, inbox: Sequence[Message], turn: Turn) -> list[float]:
    """Return the weights of all vectors: `own` for the agent's in a tree, and those of the received."""
    read = abridged(inbox)
    senders = [message.envelope.sender for message in read]
    if turn.direction is Direction.PEER:
        received = [turn.mixing.get(each, 0.0) * turn.discount(each) for each in senders]
        # The missing share of an absent or stale neighbour falls to the agent itself.
        return [1.0 - sum(received), *received]
    received = [_read(message).weight * turn.discount(message.envelope.sender) for message in read]
    return [own, *received]


def _pack(payload: type[Flat], values: Tensor, weight: float, layout: str) -> Payload:
    return payload(values=values.cpu().numpy(), weight=weight, layout=layout)


def _read(message: Message) -> Flat:
    assert isinstance(message.payload, (Weights, WeightDeltas))  # guaranteed by `expects`
    return message.payload


def _smallest(network: Network) -> tuple[int, int]:
    """Return the fewest vectors that any agent fuses, its own included, and the agent; 2^31 if none fuses."""
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
