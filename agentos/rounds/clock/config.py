"""The section ``clock`` of a run."""

from __future__ import annotations

from abc import ABC
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from agentos.rounds.clock.distributions import QUANTITIES, Fixed, Numbers, Quantity
from protocols.spec import Kinds, Spec


class Mode(Spec, ABC):
    """A rule for whether agents wait for each other."""

    kind: str


class Synchronous(Mode):
    """Every receiver waits for all its messages.

    See `agentos.rounds.clock.timeline`.
    """

    kind: Literal["synchronous"] = "synchronous"


class Asynchronous(Mode):
    """No agent waits: it merges what has arrived, and continues.

    See `agentos.rounds.asynchronous`.
    """

    kind: Literal["asynchronous"] = "asynchronous"
    staleness: int = Field(
        10,
        ge=0,
        description="Rounds by which a sender may be behind its receiver; older messages are discarded.",
    )
    discount: float = Field(
        0.5,
        ge=0.0,
        le=10.0,
        description="A message that is s rounds behind counts for (1 + s) ** -discount; 0 for alike.",
    )
    quorum: int = Field(
        1,
        ge=1,
        description="Senders whose messages must have arrived before an agent merges any on a hop, or all of "
        "its senders if they are fewer; it goes on meanwhile.",
    )
    grace_s: float = Field(
        0.0,
        ge=0.0,
        description="Simulated seconds that a quorum is left for more messages to arrive; none, once all "
        "senders' have.",
    )


MODES: dict[str, type[Mode]] = {"synchronous": Synchronous, "asynchronous": Asynchronous}


class ClockConfig(Spec):
    """Speeds of simulated agents and links; they change no number of a synchronous run."""

    mode: Annotated[Mode, Kinds(MODES)] = Field(
        Synchronous(), description="Whether agents wait for each other."
    )
    work: Literal["flops", "tokens", "steps"] = Field(
        "flops",
        description="Unit of speed: floating-point operations, estimated from tokens; tokens that go "
        "through the encoder; or optimizer steps.",
    )
    speed: Annotated[Quantity, Numbers(QUANTITIES)] = Field(
        Fixed(value=1e12), description="Work that an agent does in a second."
    )
    latency_s: Annotated[Quantity, Numbers(QUANTITIES)] = Field(
        Fixed(value=0.05), description="Seconds that any message takes over an edge."
    )
    bytes_per_s: Annotated[Quantity, Numbers(QUANTITIES)] | None = Field(
        Fixed(value=1.25e6),
        description="Bandwidth of each direction of an edge; null for any number of bytes at once.",
    )

    @model_validator(mode="after")
    def _something_moves(self) -> Self:
        for name in ("speed", "bytes_per_s"):
            quantity: Quantity | None = getattr(self, name)
            if quantity is not None and quantity.least == 0.0:
                raise ValueError(f"{name} can be 0, and nothing would ever end; raise it above 0")
        return self
