"""The base of all faults: frozen specifications of what goes wrong in which part of a run.

A fault keeps no state, and draws by name: from the run's seed, its place in the list of faults, the round,
the hop and the edge. So the same faults do the same to the same run in every runtime, and again when
rounds are run again.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from protocols.messages import Payload
from protocols.seeding import generator
from protocols.spec import Spec
from protocols.topologies.hops import Edge

Damage = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
Alteration = Callable[[Payload], Payload]
Agents = tuple[Annotated[int, Field(ge=0)], ...]


def _span(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


Rounds = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], BeforeValidator(_span)
]


@dataclass(frozen=True)
class FaultContext:
    """The part of a run in which a fault may strike; its random numbers derive from it.

    Attributes:
        seed: of the run.
        index: of the fault among the faults of the run.
        hop: of the round; -1 for the round as a whole.
        attempt: of sending a message, from 0.
    """

    seed: int
    index: int
    round: int
    hop: int = -1
    attempt: int = 0

    def generator(self, *names: str | int) -> np.random.Generator:
        """Return the random generator of a named quantity in this context."""
        place = (self.index, self.round, self.hop, self.attempt)
        return generator(self.seed, "faults", *place, *names)


class Transmission(NamedTuple):
    """A message in flight to one receiver: a tuple, since there is one of every message of a run.

    Attributes:
        place: of its bytes: (outbox, index within it).
        kind: of its payload.
        arrival_s: seconds that its receiver would wait for it.
        rounds_late: rounds after its own in which it arrives.
        lost: whether it does not arrive.
        damage: functions that change its bytes in flight.
    """

    sender: int
    receiver: int
    place: tuple[int, int]
    kind: str
    arrival_s: float = 0.0
    rounds_late: int = 0
    lost: bool = False
    damage: tuple[Damage, ...] = ()


class Fault(Spec, ABC):
    """Something that goes wrong; each method changes nothing until it is overridden."""

    kind: str
    rounds: Rounds | None = Field(
        None, description="First and last round, or the only one; every round if not given."
    )

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.rounds is not None and self.rounds[0] > self.rounds[1]:
            raise ValueError(f"rounds end before they begin: {list(self.rounds)}")
        return self

    def is_on(self, round: int) -> bool:
        """Return whether it may strike in a round."""
        return self.rounds is None or self.rounds[0] <= round <= self.rounds[1]

    def named(self) -> Agents:
        """Return the agents that the specification names; they are checked to exist."""
        return ()

    def victim(self, phase: str) -> int | None:
        """Return the agent whose host dies at the beginning of a phase of the round; None for none."""
        return None

    def absent(self, context: FaultContext, agents: int) -> frozenset[int]:
        """Return the agents that are away in the round, of so many."""
        return frozenset()

    def cut(self, context: FaultContext, edges: Sequence[Edge], agents: int) -> frozenset[Edge]:
        """Return the edges of a hop that carry nothing."""
        return frozenset()

    def alteration(self, agent: int, context: FaultContext) -> Alteration | None:
        """Return the change that a faulty agent makes to its payloads; None for an honest agent."""
        return None

    def alters(self, payload: type[Payload]) -> bool:
        """Return whether `alteration` changes payloads of a class."""
        return False

    def transmit(self, message: Transmission, context: FaultContext) -> tuple[Transmission, ...]:
        """Return what arrives of a message: itself, copies of it, or a changed one."""
        return (message,)

    def arrange(self, inbox: Sequence[Transmission], context: FaultContext) -> list[Transmission]:
        """Return the messages for one receiver in the order in which they arrive."""
        return list(inbox)


class MessageFault(Fault, ABC):
    """A fault of messages in flight: each is struck with the same probability."""

    share: float = Field(1.0, gt=0.0, le=1.0, description="Probability that a message is struck.")
    senders: Agents | None = Field(None, description="Only messages of these agents.")
    receivers: Agents | None = Field(None, description="Only messages to these agents.")

    def named(self) -> Agents:
        """Return senders and receivers."""
        return (*(self.senders or ()), *(self.receivers or ()))

    def strikes(self, message: Transmission, context: FaultContext) -> bool:
        """Return whether a message is struck."""
        if self.senders is not None and message.sender not in self.senders:
            return False
        if self.receivers is not None and message.receiver not in self.receivers:
            return False
        drawn = context.generator("strikes", message.sender, message.receiver).random()
        return bool(drawn < self.share)


class AgentFault(Fault, ABC):
    """A fault of some agents."""

    agents: Agents = Field(..., min_length=1, description="The agents.")

    def named(self) -> Agents:
        """Return the agents."""
        return self.agents
