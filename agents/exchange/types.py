"""What a strategy of exchange sees: where in a round it is, a batch, a society, an agent.

Legend: C crops of each anchor, N anchors, A of them in a batch, B private texts, D width of the exchange, W
of the backbone, P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from agents.config import EncoderConfig
from protocols.messages import Payload
from protocols.topologies.hops import Direction
from protocols.topologies.network import Network

if TYPE_CHECKING:
    from torch import Tensor

    from agents.models.encoder import Encoder


@dataclass(frozen=True)
class Turn:
    """Where in a round an agent is, and with whom it speaks.

    Attributes:
        round: number of the round, from 1.
        hop: number of the hop within the round, counted over all passes and parts of the exchange.
        direction: ``PEER``, ``UP`` (gather) or ``DOWN`` (broadcast).
        passage: which of the exchange's passes through the topology's plan this is, from 0.
        is_top: whether nobody is above the agent: in a tree, its root.
        mixing: weight of each agent it hears from and of itself; sums to one. For averaging weights.
        recipients: whom it addresses; known to `Exchange.compose` alone.
        discounts: by sender, what its message counts for beside a fresh one, in (0, 1]; only where agents do
            not wait for each other, and only known to `Exchange.merge`. See `agents.exchange.staleness`.
    """

    round: int
    hop: int
    direction: Direction
    passage: int = 0
    is_top: bool = False
    mixing: Mapping[int, float] = field(default_factory=dict)
    recipients: tuple[int, ...] = ()
    discounts: Mapping[int, float] = field(default_factory=dict)

    def discount(self, sender: int) -> float:
        """Return what the message of a sender counts for; 1 where it is fresh."""
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
    """Widths of the heads that a strategy trains beside the backbone; 0 for none."""

    exchange_dimension: int = 0
    classes: int = 0


@dataclass(frozen=True)
class Expected:
    """What a strategy accepts on a hop: a payload type, and the shape of each of its arrays."""

    payload: type[Payload]
    shapes: Mapping[str, tuple[int | None, ...]]
    layout: str | None = None


@dataclass(frozen=True)
class Announced:
    """A message without its numbers: enough to count its bytes before there is one.

    Attributes:
        payload: its class.
        shapes: of each of its arrays.
        scalars: its other fields, as they will be.
        apart: whether every recipient gets one of its own, in the sizes that it expects.
    """

    payload: type[Payload]
    shapes: Mapping[str, tuple[int, ...]]
    scalars: Mapping[str, Any] = field(default_factory=dict)
    apart: bool = False

    def to(self, expected: Expected) -> Announced:
        """Return the message to one recipient: in the sizes that it expects, where it names them."""
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
    """What a strategy may ask about a run before it starts.

    Attributes:
        network: who may talk to whom; None where that is not yet known.
    """

    encoders: tuple[EncoderConfig, ...]
    anchors: int
    batch_size: int
    local_steps: int = 1
    accumulate: int = 1
    network: Network | None = None


class Learner(Protocol):
    """The face that an agent shows to its exchange strategy."""

    id: int
    seed: int
    anchor_clusters: np.ndarray

    @property
    def memory(self) -> dict[str, Any]:
        """What the strategy remembers about this agent."""

    @property
    def looks_back(self) -> bool:
        """Whether an objective of the agent wants `Exchange.reference`."""

    @property
    def anchor_count(self) -> int:
        """Number of public anchors."""

    @property
    def examples(self) -> int:
        """Number of private documents."""

    @property
    def private_batch_size(self) -> int:
        """Number of private documents in each batch."""

    @property
    def encoder(self) -> Encoder:
        """The resident encoder, being this agent."""

    @property
    def layout(self) -> str:
        """Fingerprint of the parameter layout."""

    @property
    def parameters(self) -> Tensor:
        """The trained parameters, one flat tensor `[P]`; writing to it changes the agent."""

    def embed_anchors(self, crops: int, round: int) -> Tensor:
        """Embed `crops` random crops of every anchor: `[C, N, D]`, normalised, no gradient."""

    def embed_private(self, count: int, round: int) -> Tensor:
        """Embed a random crop of `count` private texts, or of all if they are fewer: `[n, D]`.

        Normalised, no gradient. Which texts, and which crops, depends on the agent and the round.
        """

    def preview(self) -> PrivateBatch:
        """Return what the agent's next training step will see of its private texts, to the bit.

        The pooled states are attached to the graph. Nothing that the agent remembers changes.
        """
