"""Fusion of anchor summaries into one teacher, along any topology.

Peers fuse their neighbours' summaries. In a tree, summaries flow up, each parent adding its own to its
children's, until the root has fused those of all agents; the result flows down.

Summaries that can be averaged are averaged while messages go up, weighted by the agents that they represent.
Those that must be compared with each other travel up side by side, so that a message grows with the subtree.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from agents.exchange.anchors.base import AnchorExchange
from agents.exchange.base import ExchangeState, Learner, RoundState, Turn
from agents.exchange.fusion import weighted_mean
from protocols.messages import Message, Payload
from protocols.topologies.hops import Direction

S = TypeVar("S")
Part = tuple[Any, float]
"""A summary (a tensor, or a tuple of some), and the number of agents that it represents."""


@dataclass
class TeacherState(RoundState, Generic[S]):
    """State of a strategy that fuses summaries of type S.

    Attributes:
        teacher: latest fused summary; None before the first exchange.
        subtree: round, and the summaries to send upwards in it.
        from_root: round, and the fused summary to send downwards in it.
    """

    teacher: S | None = None
    subtree: tuple[int, list[tuple[S, float]]] | None = None
    from_root: tuple[int, list[tuple[S, float]]] | None = None


class FusedTeacher(AnchorExchange):
    """A strategy that fuses summaries of the anchors into one teacher; by default, their mean."""

    state_type: ClassVar[type[ExchangeState]] = TeacherState

    @property
    def asynchronous(self) -> bool:
        """Return True: a stale summary is weighted as fewer agents."""
        return True

    @abstractmethod
    def summarise(self, learner: Learner, turn: Turn) -> Any:
        """Return this agent's own summary of the anchors."""

    @abstractmethod
    def pack(self, parts: Sequence[Part], turn: Turn) -> Payload:
        """Make a payload of one summary, or of those that `gather` returned."""

    @abstractmethod
    def unpack(self, payload: Payload, learner: Learner) -> list[Part]:
        """Read summaries; the inverse of `pack`."""

    def judge(self, learner: Learner, parts: list[Part], turn: Turn) -> list[Part]:
        """Return summaries from peers or children, reweighted by the agent's trust in each."""
        return parts

    def fuse(self, learner: Learner, parts: Sequence[Part]) -> Any:
        """Fuse summaries into one."""
        return weighted_mean(parts)[0]

    def gather(self, parts: Sequence[Part]) -> list[Part]:
        """Return the summaries to send upwards for a subtree."""
        return [weighted_mean(parts)]

    def open_size(self, represented: Sequence[int]) -> int | None:
        """Return the number of agents: where summaries travel side by side, there is one of each."""
        return len(represented)

    def scalars(
        self, learner: Learner, turn: Turn, represented: Sequence[int]
    ) -> Mapping[str, Any]:
        """Return as weight the number of agents that the summary represents."""
        return {"weight": float(len(represented))}

    def compose(self, learner: Learner, turn: Turn) -> Payload | None:
        """Send the agent's own summary to peers, its subtree's upwards, and the root's downwards."""
        state: TeacherState[Any] = TeacherState.of(learner)
        known = {Direction.UP: state.subtree, Direction.DOWN: state.from_root}.get(turn.direction)
        if known is not None and known[0] == turn.round:
            return self.pack(known[1], turn)
        own = [(self.summarise(learner, turn), 1.0)]
        # Downwards travels what is fused, also where nothing was received and only the own summary is known.
        down = turn.direction is Direction.DOWN
        return self.pack([(self.fuse(learner, own), 1.0)] if down else own, turn)

    def merge(self, learner: Learner, inbox: Sequence[Message], turn: Turn) -> None:
        """Fuse received summaries into the teacher; one from above is the teacher."""
        if not inbox:
            return
        state: TeacherState[Any] = TeacherState.of(learner)
        state.begin_round(turn)
        received = [
            (values, weight * turn.discount(message.envelope.sender))
            for message in inbox
            for values, weight in self.unpack(message.payload, learner)
        ]
        if turn.direction is Direction.DOWN:
            state.teacher, state.from_root = received[0][0], (turn.round, received)
            return
        self.absorb(learner, received, turn)

    def absorb(self, learner: Learner, received: list[Part], turn: Turn) -> None:
        """Fuse summaries from peers or children into the teacher; in a tree, keep what goes on from here."""
        state: TeacherState[Any] = TeacherState.of(learner)
        state.begin_round(turn)
        received = self.judge(learner, received, turn)
        state.teacher = self.fuse(learner, received)
        if turn.direction is Direction.UP:
            subtree = [(self.summarise(learner, turn), 1.0), *received]
            if turn.is_top:
                fused = (self.fuse(learner, subtree), sum(weight for _, weight in subtree))
                state.from_root = (turn.round, [fused])
            else:
                state.subtree = (turn.round, self.gather(subtree))
