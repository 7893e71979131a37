"""Exchange strategies: the message to send, how received messages are merged, and the loss learnt from them.

A strategy is a frozen specification. Its state of an agent is a small dataclass, `Exchange.state_type`, that
belongs to the agent and is checkpointed with it.

Legend: C crops of each anchor, N anchors, A anchors in a batch, D width of the exchange, W of the backbone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from agents.exchange.privacy.protection import Arrays, Privacy
from agents.exchange.types import (
    AnchorBatch,
    Announced,
    ExchangeState,
    Expected,
    Heads,
    Learner,
    PrivateBatch,
    RoundState,
    Shown,
    Society,
    Turn,
)
from agents.lazy_torch import Tensor, torch
from agents.objectives.base import Neighbours, Reference
from protocols.codecs import CODECS, Codec
from protocols.codecs.fp32 import Fp32
from protocols.messages import DETACHED, Gradient, Message, Payload
from protocols.spec import Kinds, Spec

__all__ = [
    "AnchorBatch",
    "Announced",
    "Exchange",
    "ExchangeState",
    "Expected",
    "Heads",
    "Learner",
    "PrivateBatch",
    "RoundState",
    "Shown",
    "Society",
    "Turn",
    "exchange_width",
    "once_a_round",
    "to_tensor",
]

T = TypeVar("T")


class Exchange(Spec, ABC):
    """A strategy of exchange between agents."""

    kind: str
    every: int = Field(1, ge=1, description="Rounds from one exchange to the next.")
    first: int = Field(1, ge=1, description="Earliest round of an exchange.")
    codec: Annotated[Codec, Kinds(CODECS)] = Field(
        Fp32(), description="Encoding of the arrays in messages; a lossy one saves bytes."
    )
    privacy: Privacy | None = Field(
        None, description="Clipping and noise of every message; null to send what was computed."
    )
    state_type: ClassVar[type[ExchangeState]] = ExchangeState
    """Class of the state that the strategy keeps for each agent."""
    changes_parameters: ClassVar[bool] = False
    offers_neighbours: ClassVar[bool] = False
    """Whether `neighbours` can return embeddings of anchors by neighbours."""
    offers_reference: ClassVar[bool] = False
    """Whether `reference` can return received parameters."""
    previews: ClassVar[bool] = False
    """Whether it calls `Learner.preview`, which repeats the next training step to the bit."""
    learns_from_private: ClassVar[bool] = False
    """Whether `private_loss` takes the private texts of each batch."""
    addresses_each: ClassVar[bool] = False
    """Whether `compose` may return other payloads for other recipients."""
    unprotectable: ClassVar[str] = ""
    """Arrays of its messages that noise cannot cover; such a strategy refuses `privacy`."""

    @model_validator(mode="after")
    def _noise_covers_messages(self) -> Self:
        if self.privacy is not None and self.unprotectable:
            raise ValueError(
                f"exchange.privacy: {self.kind} sends {self.unprotectable}, which noise cannot cover; leave "
                "exchange.privacy out, or choose an exchange of embeddings, labels, prototypes or parameters"
            )
        return self

    @property
    def parts(self) -> tuple[Exchange, ...]:
        """The strategies of a hybrid; any other strategy is its own only part."""
        return (self,)

    @property
    def shows(self) -> frozenset[Shown] | None:
        """Sources of the messages other than the number of texts; None if the strategy does not declare them.

        Parameters, which private text has trained, act on all of it. This is what a message shows
        directly: with the same parameters, it does not depend on anything that is not named here.
        """
        return None

    @property
    def passes(self) -> int:
        """Passes of an exchange through the topology's plan; with 2, neighbours can answer."""
        return 1

    @property
    def asynchronous(self) -> bool:
        """Return whether agents may exchange under it without waiting for each other.

        Messages then come from other rounds than the receiver's, from one sender at a time or from several,
        and `merge` must weigh stale messages down: see `Turn.discount`. It takes one pass.
        """
        return False

    @property
    def fragment_count(self) -> int:
        """Number of fragments that messages are about in turn; a message never replaces one about another."""
        return 1

    def fragment_of(self, round: int) -> int:
        """Return the fragment that agents begin to exchange at the end of this round."""
        return 0

    def form_of(self, round: int) -> Hashable:
        """Return all that the shapes of this round's messages depend on, apart from hop and receiver.

        Rounds with equal forms have messages of equal size, unless the number of the round, or one like it,
        takes more digits in their headers.
        """
        return self.fragment_of(round)

    @property
    def overlap_steps(self) -> int:
        """Local steps that agents take before they need what they receive: it may be under way meanwhile."""
        return 0

    @property
    def anchor_fraction(self) -> float:
        """Share of public anchors in each batch."""
        return 0.0

    @property
    def learns_from_anchors(self) -> bool:
        """Return whether `loss` takes the anchors of each batch."""
        return self.anchor_fraction > 0.0

    @property
    def wants_labels(self) -> bool:
        """Return whether the anchors' classes are their true labels, instead of clusters of their text."""
        return False

    @property
    def wants_own_labels(self) -> int:
        """Number of classes of the agents' own labels, which the objective labelled learns; 0 for none."""
        return 0

    def check(self, society: Society) -> None:
        """Refuse a society in which the strategy cannot work.

        Raises:
            ValueError: the strategy cannot work in this society; the text says why and what to change.
        """

    def heads(self, widths: frozenset[int]) -> Heads:
        """Return the heads that agents of these backbone widths need."""
        return Heads()

    def initial_state(self, learner: Learner) -> ExchangeState:
        """Return the state of an agent before its first step."""
        return self.state_type()

    def neighbours(self, learner: Learner) -> Neighbours | None:
        """Return received embeddings of the anchors, for objectives that take more negatives."""
        return None

    def reference(self, learner: Learner) -> Reference | None:
        """Return received parameters, for objectives that take them: see `Learner.wants_reference`."""
        return None

    def is_due(self, round: int, rounds: int) -> bool:
        """Return whether agents exchange at the end of this round.

        After the last round only a strategy that changes parameters still has an effect; the others save
        the bytes.
        """
        if round < self.first:
            return False
        if round == rounds:
            return self.changes_parameters
        return round % self.every == 0

    @abstractmethod
    def compose(self, learner: Learner, turn: Turn) -> Payload | Mapping[int, Payload] | None:
        """Return the payload for all recipients of the hop, or None to send nothing.

        A mapping holds a payload for each recipient. Arrays may be the agent's own: they are copied before
        another agent composes or trains.
        """

    def known(self, learner: Learner, payload: type[Payload], turn: Turn) -> Arrays:
        """Return what of a payload's arrays depends on no private text; `privacy` clips the rest."""
        return {}

    def gradient(self, turn: Turn) -> Gradient:
        """Return the semantics of the payload's gradient at its receivers."""
        return DETACHED

    @abstractmethod
    def expects(self, learner: Learner, turn: Turn) -> Expected:
        """Return the form that a message to this agent must have on this hop."""

    def announces(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Announced | None:
        """Return the form of the message that `compose` will return, before a run; None for no message.

        `agentos check` counts bytes with it, and the contract compares it with the ledger. By default an
        agent sends what it would itself accept on this hop. Override this, or `scalars`, in a strategy whose
        messages differ from that, whose `expects` leaves a size open, or whose payloads have other scalars.

        Args:
            learner: the sender; its encoder has shapes and no numbers, and its state is the initial one.
            turn: the turn in which the message was sent.
            represented: documents of each agent that a fused message represents: going up, those of the
                agent and of all below it; going down, those of the whole tree; else its own.
        """
        expected = self.expects(learner, turn)
        known = {"layout": expected.layout, **self.scalars(learner, turn, represented)}
        fields = expected.payload.array_fields
        shapes = {name: expected.shapes.get(name, (None,)) for name in fields}
        size = self.open_size(represented)
        filled = {name: tuple(size if n is None else n for n in s) for name, s in shapes.items()}
        sizes = {name: tuple(n for n in s if n is not None) for name, s in filled.items()}
        unknown = [name for name, shape in filled.items() if sizes[name] != shape]
        unknown += [name for name in expected.payload.scalar_fields if known.get(name) is None]
        if unknown:
            raise NotImplementedError(
                f"exchange {self.kind} leaves the size of {', '.join(unknown)} open in its "
                f"{expected.payload.kind} messages: let it implement `announces` or `scalars`"
            )
        return Announced(
            expected.payload, sizes, {name: known[name] for name in expected.payload.scalar_fields}
        )

    def open_size(self, represented: Sequence[int]) -> int | None:
        """Return the size that `expects` leaves open, for a message that represents these agents."""
        return None

    def codec_of(self, payload: type[Payload]) -> Codec:
        """Return the codec that payloads of this type are sent in."""
        return self.codec

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return the scalar fields of the announced message other than its layout; see `announces`."""
        return {"weight": 1.0}

    @abstractmethod
    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Merge the messages of a hop, sorted by sender, into the agent's state; there may be none."""

    def loss(
        self, learner: Learner, anchors: AnchorBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the loss of a training step on its anchors, weight included; None for nothing."""
        return None

    def private_loss(
        self, learner: Learner, private: PrivateBatch, rng: np.random.Generator
    ) -> Tensor | None:
        """Return the loss of a training step on private text, weight included; None for nothing."""
        return None

    def before_step(self, learner: Learner) -> None:
        """Change the agent's parameters in place before a training step, where an exchange acts late."""

    def correct(self, learner: Learner, gradient: Tensor) -> None:
        """Change the gradient `[P]` of a training step in place, before it is clipped."""


def once_a_round(
    cached: tuple[int, T] | None, turn: Turn, compute: Callable[[], T]
) -> tuple[int, T]:
    """Return (round, value) for the turn's round: the cached pair if it is of that round, else a new one."""
    return cached if cached is not None and cached[0] == turn.round else (turn.round, compute())


def to_tensor(values: np.ndarray, learner: Learner) -> Tensor:
    """Return an array of a payload as a tensor on the agent's device.

    Copied: a payload is a view of a message buffer, which is reused after the hop.
    """
    return torch.from_numpy(np.array(values)).to(learner.parameters.device)


def exchange_width(learner: Learner) -> int:
    """Return the width of the space that this agent's society exchanges embeddings in."""
    head = learner.encoder.exchange_head
    return int(getattr(head, "out_features", learner.encoder.width))
