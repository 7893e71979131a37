"""What an exchange strategy is: what I send, how I merge what I receive, the loss I learn it by.

A strategy is a frozen specification. What it remembers about an agent lives in that agent's `memory`, and is
checkpointed with it.

Legend: C crops of each anchor, N anchors, A anchors in a batch, D width of the exchange, W of the backbone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from agents.exchange.types import (
    AnchorBatch,
    Announced,
    Expected,
    Heads,
    Learner,
    PrivateBatch,
    Society,
    Turn,
)
from protocols.codecs import CODECS, Codec
from protocols.codecs.fp32 import Fp32
from protocols.messages import DETACHED, Gradient, Message, Payload
from protocols.spec import Kinds, Spec

if TYPE_CHECKING:
    from torch import Tensor

    from agents.objectives.base import Neighbours, Reference

__all__ = [
    "AnchorExchange",
    "Exchange",
    "begin_round",
    "once_a_round",
    "AnchorBatch",
    "Announced",
    "Expected",
    "Heads",
    "Learner",
    "PrivateBatch",
    "Society",
    "Turn",
]

T = TypeVar("T")


class Exchange(Spec, ABC):
    """A strategy of exchange between agents."""

    kind: str
    every: int = Field(1, ge=1, description="Rounds from one exchange to the next.")
    codec: Annotated[Codec, Kinds(CODECS)] = Field(
        Fp32(), description="In what the arrays of messages are sent, to save bytes."
    )
    changes_parameters: ClassVar[bool] = False
    offers_neighbours: ClassVar[bool] = False
    """Whether it knows neighbours' embeddings of anchors; see `neighbours`."""
    offers_reference: ClassVar[bool] = False
    """Whether it knows parameters that were received; see `reference`."""
    learns_from_private: ClassVar[bool] = False
    """Whether `private_loss` wants the private texts of each batch."""

    @property
    def parts(self) -> tuple[Exchange, ...]:
        """The strategies that it consists of: itself, unless it is a hybrid."""
        return (self,)

    @property
    def passes(self) -> int:
        """How often an exchange goes through the topology's plan; 2 lets neighbours answer."""
        return 1

    @property
    def asynchronous(self) -> bool:
        """Whether agents may exchange under it without waiting for each other.

        Its messages then come from other rounds than the receiver's, one sender at a time or several, and
        `merge` must let stale ones count for less: see `Turn.discount`. It takes one pass.
        """
        return False

    @property
    def anchor_fraction(self) -> float:
        """Share of each batch that are public anchors."""
        return 0.0

    @property
    def learns_from_anchors(self) -> bool:
        """Whether `loss` wants the anchors of each batch."""
        return self.anchor_fraction > 0.0

    @property
    def wants_labels(self) -> bool:
        """Whether the anchors' classes are to be their true labels, instead of clusters of their text."""
        return False

    def check(self, society: Society) -> None:
        """Refuse a society in which the strategy cannot work.

        Raises:
            ValueError: with the reason and what to change.
        """

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return the heads that agents of these backbone widths need."""
        return Heads()

    def begin(self, learner: Learner) -> None:
        """Note what there is to remember before the agent's first step."""

    def neighbours(self, learner: Learner) -> Neighbours | None:
        """Return what neighbours sent of the anchors, for objectives that want more negatives."""
        return None

    def reference(self, learner: Learner) -> Reference | None:
        """Return parameters to look back at, for objectives that want them: see `Learner.looks_back`."""
        return None

    def is_due(self, round: int, rounds: int) -> bool:
        """Whether agents exchange at the end of this round.

        After the last round only a strategy that changes parameters still has an effect; for the others
        the bytes are saved.
        """
        if round == rounds:
            return self.changes_parameters
        return round % self.every == 0

    @abstractmethod
    def compose(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Return what the agent says to all it is to address on this hop, or None for silence.

        A mapping holds what it says to each of them alone. Arrays may be the agent's own: they are copied
        before another agent speaks or anybody trains.
        """

    def gradient(self, turn: Turn) -> Gradient:
        """Return what the gradient of what is said on this hop means to its receivers."""
        return DETACHED

    @abstractmethod
    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Return what a message to this agent must hold on this hop."""

    def announces(
        self, learner: Learner, turn: Turn, spoken_for: Sequence[int]
    ) -> Announced | None:
        """Return what `compose` is going to send, from what is known before a run; None for silence.

        `agentos check` counts bytes by it, and the contract holds the ledger against it. By default an agent
        sends what it would itself accept on this hop. A strategy whose messages differ from that, whose
        `expects` leaves a size open, or whose payloads have other scalars, says so here or in `scalars`.

        Args:
            learner: who will speak; it has an encoder without numbers, and remembers nothing.
            turn: when.
            spoken_for: documents of each agent that a fused message stands for: on the way up those of the
                agent and of all below it, on the way down those of the whole tree, else its own.
        """
        expected = self.expects(learner, turn)
        known = {"layout": expected.layout, **self.scalars(learner, turn, spoken_for)}
        fields = expected.payload.array_fields
        shapes = {name: expected.shapes.get(name, (None,)) for name in fields}
        some = self.open_size(spoken_for)
        filled = {name: tuple(some if n is None else n for n in s) for name, s in shapes.items()}
        sizes = {name: tuple(n for n in s if n is not None) for name, s in filled.items()}
        unknown = [name for name, shape in filled.items() if sizes[name] != shape]
        unknown += [name for name in expected.payload.scalar_fields if known.get(name) is None]
        if unknown:
            raise NotImplementedError(
                f"exchange {self.kind} does not say how large {', '.join(unknown)} of its "
                f"{expected.payload.kind} messages will be: let it implement `announces` or `scalars`"
            )
        return Announced(
            expected.payload, sizes, {name: known[name] for name in expected.payload.scalar_fields}
        )

    def open_size(self, spoken_for: Sequence[int]) -> int | None:
        """Return the size that `expects` leaves open, of a message that speaks for these agents."""
        return None

    def codec_of(self, payload: type[Payload]) -> Codec:
        """Return in what a kind of payload is sent."""
        return self.codec

    def scalars(self, learner: Learner, turn: Turn, spoken_for: Sequence[int]) -> Mapping[str, Any]:
        """Return the scalar fields of the message to come, as far as they are not its layout."""
        return {"weight": 1.0}

    @abstractmethod
    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Take in the messages of a hop, sorted by sender; there may be none."""

    def speak(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Say what `compose` returns; a host calls this, so that controls have one place."""
        return self.compose(learner, turn)

    def listen(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Hand what came to `merge`; a host calls this, so that controls have one place."""
        self.merge(learner, inbox, turn)

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return what a training step learns from the exchange, weight included; None for nothing."""
        return None

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return what a training step learns on private text, weight included; None for nothing."""
        return None

    def correct(self, learner: Learner, gradient: Tensor) -> None:
        """Change the gradient `[P]` of a training step in place, before it is clipped."""


class AnchorExchange(Exchange):
    """A strategy that speaks about a public set of anchor texts."""

    teacher: Literal["neighbours", "own", "shuffled"] = Field(
        "neighbours",
        description="Whom to learn from. Controls of a study: own, what I would have sent myself, and "
        "nothing is sent; shuffled, the neighbours, as if they spoke of other anchors.",
    )
    anchor_share: float = Field(
        0.25, gt=0.0, lt=1.0, description="Share of each batch that are crops of public anchors."
    )
    weight: float = Field(1.0, gt=0.0, description="Factor of this loss in the total loss.")
    crops: int = Field(2, ge=1, le=16, description="Random crops embedded of every anchor.")
    dimension: int = Field(
        128, ge=2, description="Width in which unlike encoders meet; unused where widths agree."
    )
    ramp: int = Field(2, ge=1, description="Exchanges over which the loss rises to its weight.")

    @property
    def anchor_fraction(self) -> float:
        """Share of each batch that are public anchors."""
        return self.anchor_share

    def check(self, society: Society) -> None:
        """Refuse a society without anchors, or a batch that holds too few of them."""
        if society.anchors < 4:
            raise ValueError(
                f"{self.kind} speaks about public anchors, and data.anchors is {society.anchors}; "
                "set data.anchors to at least 4 (256 is usual)"
            )
        if round(self.anchor_share * society.batch_size) < 3:
            raise ValueError(
                f"exchange.anchor_share {self.anchor_share} of training.batch_size "
                f"{society.batch_size} leaves fewer than 3 anchors in a batch; raise one of them"
            )

    def heads(self, widths: frozenset[int]) -> Heads:
        """Ask for a projection only where widths differ."""
        return Heads(exchange_dimension=self.dimension if len(widths) > 1 else 0)

    def announces(
        self, learner: Learner, turn: Turn, spoken_for: Sequence[int]
    ) -> Announced | None:
        """Announce nothing where everybody is its own teacher; see `Exchange.announces`."""
        return None if self.teacher == "own" else super().announces(learner, turn, spoken_for)

    def speak(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Say what `compose` returns, or nothing where everybody is its own teacher."""
        return None if self.teacher == "own" else self.compose(learner, turn)

    def listen(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Hand `merge` what came, or what the control of a study puts in its place."""
        from agents.exchange.anchors import controls

        if self.teacher == "own":
            inbox = controls.own(learner, self.compose(learner, turn), turn)
        elif self.teacher == "shuffled":
            inbox = controls.shuffled(learner, inbox, turn)
        self.merge(learner, inbox, turn)

    def ramped_weight(self, learner: Learner) -> float:
        """Return the weight after the exchanges that the agent has heard so far."""
        heard = int(learner.memory.get("exchanges", 0))
        return self.weight * min(1.0, heard / self.ramp)


def begin_round(learner: Learner, turn: Turn) -> bool:
    """Note that the agent hears something in this round; return whether it is the first time."""
    if learner.memory.get("round") == turn.round:
        return False
    learner.memory["round"] = turn.round
    learner.memory["exchanges"] = int(learner.memory.get("exchanges", 0)) + 1
    return True


def once_a_round(learner: Learner, turn: Turn, name: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, worked out once a round and kept in the agent's memory."""
    kept: tuple[int, T] | None = learner.memory.get(name)
    if kept is None or kept[0] != turn.round:
        kept = learner.memory[name] = (turn.round, work())
    return kept[1]
