"""What a fault is: a frozen specification that says, of a moment in a run, what goes wrong.

A fault keeps no state, and draws by name: from the run's seed, its place in the list of faults, the round,
the hop and the edge. So the same script does the same to the same run, whatever the runtime, and again when
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
Lie = Callable[[Payload], Payload]
Agents = tuple[Annotated[int, Field(ge=0)], ...]


def _span(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


Rounds = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], BeforeValidator(_span)
]


@dataclass(frozen=True)
class FaultContext:
    """When a fault may strike, and what its random numbers derive from.

    Attributes:
        seed: of the run.
        index: of the fault among the faults of the run.
        hop: of the round; -1 where it is about the round as a whole.
        attempt: of sending a message, from 0.
    """

    seed: int
    index: int
    round: int
    hop: int = -1
    attempt: int = 0

    def generator(self, *names: str | int) -> np.random.Generator:
        """Return the generator of this moment for something named."""
        place = (self.index, self.round, self.hop, self.attempt)
        return generator(self.seed, "faults", *place, *names)


class Letter(NamedTuple):
    """A message on its way to one receiver: a tuple, since there is one of every message of a run.

    Attributes:
        place: where its bytes lie: (outbox, index within it).
        kind: of its payload.
        arrival_s: seconds for which its receiver would wait for it.
        rounds_late: rounds after its own in which it arrives.
        lost: whether it does not arrive.
        damage: what becomes of its bytes on the way.
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
    """Something that goes wrong; every method says that nothing does until it is overridden."""

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
        """Whether it may strike in a round."""
        return self.rounds is None or self.rounds[0] <= round <= self.rounds[1]

    def named(self) -> Agents:
        """Return the agents that the specification names, to be checked."""
        return ()

    def victim(self, phase: str) -> int | None:
        """Return the agent whose host dies when it is to begin with a phase of the round."""
        return None

    def absent(self, moment: FaultContext, agents: int) -> frozenset[int]:
        """Return which of so many agents are away in the round."""
        return frozenset()

    def cut(self, moment: FaultContext, edges: Sequence[Edge], agents: int) -> frozenset[Edge]:
        """Return which edges of a hop carry nothing."""
        return frozenset()

    def lie(self, agent: int, moment: FaultContext) -> Lie | None:
        """Return what an agent makes of its payloads before it sends them; None for an honest one."""
        return None

    def concerns(self, payload: type[Payload]) -> bool:
        """Whether `lie` changes payloads of a class."""
        return False

    def carry(self, letter: Letter, moment: FaultContext) -> tuple[Letter, ...]:
        """Return what becomes of a message on its way."""
        return (letter,)

    def arrange(self, inbox: Sequence[Letter], moment: FaultContext) -> list[Letter]:
        """Return the messages for one receiver in the order in which they arrive."""
        return list(inbox)


class MessageFault(Fault, ABC):
    """A fault of messages on their way: each is struck with the same probability."""

    share: float = Field(1.0, gt=0.0, le=1.0, description="Probability that a message is struck.")
    senders: Agents | None = Field(None, description="Only messages of these agents.")
    receivers: Agents | None = Field(None, description="Only messages to these agents.")

    def named(self) -> Agents:
        """Return senders and receivers."""
        return (*(self.senders or ()), *(self.receivers or ()))

    def strikes(self, letter: Letter, moment: FaultContext) -> bool:
        """Whether a message is struck."""
        if self.senders is not None and letter.sender not in self.senders:
            return False
        if self.receivers is not None and letter.receiver not in self.receivers:
            return False
        drawn = moment.generator("strikes", letter.sender, letter.receiver).random()
        return bool(drawn < self.share)


class AgentFault(Fault, ABC):
    """A fault of some agents."""

    agents: Agents = Field(..., min_length=1, description="The agents.")

    def named(self) -> Agents:
        """Return the agents."""
        return self.agents
