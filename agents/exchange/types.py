"""Inputs of an exchange strategy: its turn in a round, a batch, the society, one agent and its state there.

Legend: C crops of each anchor, N anchors, A of them in a batch, B private texts, D width of the exchange, W
of the backbone, P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from typing_extensions import Self

from agents.component_state import ComponentState
from agents.config import EncoderConfig
from agents.lazy_torch import Tensor
from protocols.messages import Payload
from protocols.topologies.hops import Direction
from protocols.topologies.network import Network

if TYPE_CHECKING:
    from agents.models.encoder import Encoder
    from agents.models.flat_parameters import Slot


Shown = Literal["anchors", "own labels", "private text", "parameters"]
"""Sources that the arrays of a message are computed from: a model's view of public anchors, the few private
texts whose labels an agent knows, its private texts, or its parameters themselves."""


@dataclass(frozen=True)
class Turn:
    """An agent's position in a round, and its partners there.

    Attributes:
        round: number of the round, from 1.
        hop: number of the hop within the round, counted over all passes and parts of the exchange.
        direction: ``PEER``, ``UP`` (gather) or ``DOWN`` (broadcast).
        passage: number of the exchange's pass through the topology's plan, from 0.
        is_top: whether the agent has no parent: in a tree, the root.
        mixing: weight of each sender and of the agent itself; sums to one. For averaging parameters.
        recipients: agents that it addresses; known only to `Exchange.compose`.
        discounts: weight of each sender's message relative to a fresh one, in (0, 1]; only in asynchronous
            runs, and only known to `Exchange.merge`. See `agents.exchange.staleness`.
        fragment: fragment that the messages are about, where agents may be in different rounds; None for
            the round's: see `Exchange.fragment_of`.
    """

    round: int
    hop: int
    direction: Direction
    passage: int = 0
    is_top: bool = False
    mixing: Mapping[int, float] = field(default_factory=dict)
    recipients: tuple[int, ...] = ()
    discounts: Mapping[int, float] = field(default_factory=dict)
    fragment: int | None = None

    def discount(self, sender: int) -> float:
        """Return the weight of a sender's message relative to a fresh one, which has 1."""
        return self.discounts.get(sender, 1.0)


@dataclass(frozen=True)
class AnchorBatch:
    """The public anchors within a training batch.

    Attributes:
        ids: `[A]` rows of the anchor set, no duplicates.
        pooled: `[A, W]` pooled states, one per view, attached to the graph.
    """

    ids: Tensor
    pooled: tuple[Tensor, ...]


@dataclass(frozen=True)
class PrivateBatch:
    """The private texts within a training batch.

    Attributes:
        batch: number of the batch since the beginning of training.
        pooled: `[B, W]` pooled states, one per view and at least two, attached to the graph.
    """

    batch: int
    pooled: tuple[Tensor, ...]


@dataclass(frozen=True)
class Heads:
    """Widths of the heads that a strategy trains with the backbone; 0 for none."""

    exchange_dimension: int = 0
    classes: int = 0


@dataclass(frozen=True)
class Expected:
    """Message that a strategy accepts on a hop: the payload type, and the shape of each of its arrays."""

    payload: type[Payload]
    shapes: Mapping[str, tuple[int | None, ...]]
    layout: str | None = None


@dataclass(frozen=True)
class Announced:
    """A message without its numbers: enough to count its bytes before there is one.

    Attributes:
        payload: its class.
        shapes: shape of each of its arrays.
        scalars: its other fields, as they will be.
        apart: whether each recipient gets its own message, in the sizes that it expects.
    """

    payload: type[Payload]
    shapes: Mapping[str, tuple[int, ...]]
    scalars: Mapping[str, Any] = field(default_factory=dict)
    apart: bool = False

    def to(self, expected: Expected) -> Announced:
        """Return the message to one recipient: in the sizes that it expects, if it names sizes."""
        shapes = {
            name: tuple(
                own if size is None else size
                for own, size in zip(shape, expected.shapes.get(name, shape), strict=True)
            )
            for name, shape in self.shapes.items()
        }
        return replace(self, shapes=shapes)


@dataclass(frozen=True)
class Society:
    """Facts about a run that a strategy can check before it starts.

    Attributes:
        network: the agents' network; None if it is not yet known.
    """

    encoders: tuple[EncoderConfig, ...]
    anchors: int
    batch_size: int
    local_steps: int = 1
    accumulate: int = 1
    network: Network | None = None


@dataclass
class ExchangeState(ComponentState):
    """State that a strategy keeps for one agent; `Exchange.state_type` names the class."""

    @classmethod
    def of(cls, learner: Learner) -> Self:
        """Return a learner's state as an instance of this class.

        Raises:
            TypeError: it is of another class.
        """
        return cls.narrow(learner.exchange_state)


@dataclass
class RoundState(ExchangeState):
    """State of a strategy whose loss ramps up with the exchanges.

    Attributes:
        round: round of the last exchange in which the agent received a message; 0 before the first.
        exchanges: number of such exchanges.
    """

    round: int = 0
    exchanges: int = 0

    def begin_round(self, turn: Turn) -> bool:
        """Count an exchange in which the agent received a message; return whether it is a new one."""
        if self.round == turn.round:
            return False
        self.round = turn.round
        self.exchanges += 1
        return True

    def ramped(self, weight: float, ramp: int) -> float:
        """Return a weight that rises linearly to its full value over `ramp` exchanges."""
        return weight * min(1.0, self.exchanges / ramp)


class Learner(Protocol):
    """An agent as its exchange strategy sees it."""

    id: int
    seed: int
    anchor_clusters: np.ndarray

    @property
    def exchange_state(self) -> ExchangeState:
        """State that the strategy keeps for this agent; read it with `ExchangeState.of`."""

    @property
    def wants_reference(self) -> bool:
        """Return whether an objective of the agent reads `Exchange.reference`."""

    @property
    def anchor_count(self) -> int:
        """Number of public anchors."""

    @property
    def examples(self) -> int:
        """Number of private documents."""

    @property
    def tokens(self) -> int:
        """Number of tokens that it has trained on since the beginning."""

    @property
    def private_batch_size(self) -> int:
        """Number of private documents in each batch."""

    @property
    def encoder(self) -> Encoder:
        """The shared encoder, pointed at this agent's parameters."""

    @property
    def layout(self) -> str:
        """Fingerprint of the parameter layout."""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Places of the trained parameters in the flat tensor, in its order."""

    @property
    def parameters(self) -> Tensor:
        """The trained parameters, one flat tensor `[P]`; writing to it changes the agent."""

    @property
    def initial_parameters(self) -> Tensor:
        """The parameters `[P]` that agents of its encoder begin with, before any text; not to be changed."""

    def embed_anchors(self, crops: int, round: int) -> Tensor:
        """Embed `crops` random crops of every anchor: `[C, N, D]`, normalised, no gradient."""

    def embed_labelled(self, crops: int, round: int) -> tuple[Tensor, Tensor]:
        """Embed random crops of the documents whose class the agent knows.

        Returns:
            `[C, n, D]`, normalised, no gradient, and the class `[n]` int64 of each document.
        """

    def embed_private(self, count: int, round: int) -> Tensor:
        """Embed a random crop of `count` private texts, or of all if they are fewer: `[n, D]`.

        Normalised, no gradient. The texts and crops depend on the agent and the round.
        """

    def preview(self) -> PrivateBatch:
        """Return the private texts of the agent's next training step, to the bit.

        The pooled states are attached to the graph. The agent's state is left as it was.
        """
