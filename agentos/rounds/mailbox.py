"""Messages in flight between agents that do not wait, and the choice of those to merge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.exchange.staleness import Staleness


@dataclass(frozen=True)
class InFlight:
    """A message in flight over one edge.

    Attributes:
        hop: on which it was sent, and on which it is merged.
        round: of the sender.
        arrival_s: simulated time of its arrival.
        handle: of the outbox that it lies in.
        index: within the outbox.
    """

    sender: int
    receiver: int
    hop: int
    round: int
    arrival_s: float
    handle: Any = None
    index: int = 0


@dataclass(frozen=True)
class Opened:
    """The messages that an agent takes from its mailbox.

    Attributes:
        messages: to merge: the latest of each sender, senders ascending.
        stale: number of messages that were too old.
        superseded: number of messages whose sender has sent a later one that has arrived, or was merged.
    """

    messages: tuple[InFlight, ...]
    stale: int = 0
    superseded: int = 0


class Mailbox:
    """Holds every message until its receiver takes it.

    Args:
        staleness: the rule for old messages.
    """

    def __init__(self, staleness: Staleness) -> None:
        self.staleness = staleness
        self._held: dict[tuple[int, int], dict[int, list[InFlight]]] = defaultdict(dict)
        self._merged: dict[tuple[int, int, int], int] = {}
        self._dropped: dict[tuple[int, int], int] = defaultdict(int)

    def post(self, message: InFlight, opens_s: float | None = None) -> None:
        """Send a message.

        Args:
            message: to send.
            opens_s: when the receiver will next open its mailbox, where that is known: of a sender's messages
                that arrive before, only the latest is kept, so that a slow receiver does not fill the store.
        """
        key = message.receiver, message.hop
        messages = [*self._held[key].get(message.sender, ()), message]
        if opens_s is not None:
            by_then = [each for each in messages if each.arrival_s <= opens_s]
            kept = [max(by_then, key=_round)] if by_then else []
            self._dropped[key] += len(by_then) - len(kept)
            messages = kept + [each for each in messages if each.arrival_s > opens_s]
        self._held[key][message.sender] = messages

    def close(self, receiver: int) -> None:
        """Discard what is held for an agent that has ended its last round."""
        for key in [key for key in self._held if key[0] == receiver]:
            del self._held[key]

    @property
    def messages(self) -> list[InFlight]:
        """All messages in flight or waiting for their receivers; those of a sender as they were posted."""
        held = (by_sender[sender] for by_sender in self._held.values() for sender in by_sender)
        return [message for messages in held for message in messages]

    @property
    def state(self) -> dict[str, Any]:
        """The record of messages that it no longer holds; see `restore`."""
        return {"merged": dict(self._merged), "dropped": dict(self._dropped)}

    def restore(self, messages: Iterable[InFlight], state: Mapping[str, Any]) -> None:
        """Take over the messages and the state of another mailbox."""
        for message in messages:
            self.post(message)
        self._merged.update(state["merged"])
        self._dropped.update(state["dropped"])

    def open(self, receiver: int, hop: int, round: int, now_s: float) -> Opened:
        """Take the messages that have arrived for an agent on a hop.

        Example:
            >>> box = Mailbox(Staleness(bound=1, discount=0.5, rounds=9))
            >>> for round, arrival_s in ((1, 1.0), (2, 2.0), (3, 3.5)):
            ...     box.post(InFlight(4, 0, 0, round, arrival_s))
            >>> found = box.open(receiver=0, hop=0, round=3, now_s=3.0)
            >>> [message.round for message in found.messages], found.superseded
            ([2], 1)
            >>> box.open(receiver=0, hop=0, round=9, now_s=4.0)
            Opened(messages=(), stale=1, superseded=0)
        """
        key = receiver, hop
        superseded = self._dropped.pop(key, 0)
        latest: list[InFlight] = []
        for sender, messages in sorted(self._held.pop(key, {}).items()):
            in_flight = [each for each in messages if each.arrival_s > now_s]
            if in_flight:
                self._held[key][sender] = in_flight
            merged = self._merged.get((receiver, hop, sender), 0)
            arrived = [each for each in messages if each.arrival_s <= now_s]
            if any(each.round > merged for each in arrived):
                latest.append(max(arrived, key=_round))
            superseded += len(arrived)
        taken = [
            each for each in latest if self.staleness.age(round, each.round) <= self.staleness.bound
        ]
        for each in taken:
            self._merged[receiver, hop, each.sender] = each.round
        return Opened(tuple(taken), len(latest) - len(taken), superseded - len(latest))


def _round(message: InFlight) -> int:
    return message.round
