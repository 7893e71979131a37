"""Messages in flight between agents that do not wait, and the choice of those to merge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agents.exchange.staleness import Staleness

Box: TypeAlias = tuple[int, int, int]
"""Receiver, hop and fragment: messages supersede each other only within such a compartment."""


@dataclass(frozen=True)
class InFlight:
    """A message in flight over one edge.

    Attributes:
        hop: the hop on which it was sent, and on which it is merged.
        round: the sender's round.
        arrival_s: simulated time of its arrival.
        handle: handle of the outbox that holds it.
        index: within the outbox.
        fragment: fragment that it is about; see `agents.exchange.base.Exchange.fragment_count`.
    """

    sender: int
    receiver: int
    hop: int
    round: int
    arrival_s: float
    handle: Any = None
    index: int = 0
    fragment: int = 0

    @property
    def box(self) -> Box:
        """The compartment of the receiver's mailbox that it is put into."""
        return self.receiver, self.hop, self.fragment


@dataclass(frozen=True)
class Opened:
    """The messages that an agent takes from its mailbox.

    Attributes:
        messages: messages to merge: the latest of each sender, senders ascending.
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
        quorum: senders whose messages must have arrived before any is taken, or all if they are fewer.
        grace_s: seconds from the first time that a receiver finds a quorum to the time that it takes what
            has arrived; it takes it at once when the messages of all senders have.
    """

    def __init__(self, staleness: Staleness, quorum: int = 1, grace_s: float = 0.0) -> None:
        self.staleness = staleness
        self.quorum = quorum
        self.grace_s = grace_s
        self._held: dict[Box, dict[int, list[InFlight]]] = defaultdict(dict)
        self._merged: dict[tuple[Box, int], int] = {}  # by compartment and sender
        self._dropped: dict[Box, int] = defaultdict(int)
        self._found_s: dict[Box, float] = {}  # when its receiver first found the present quorum

    def post(self, message: InFlight, opens_s: float | None = None) -> None:
        """Send a message.

        Args:
            message: message to send.
            opens_s: when the receiver will next open its mailbox, if that is known: of a sender's messages
                that arrive before, only the latest is kept, so that a slow receiver does not fill the store.
        """
        key = message.box
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
        return {
            "merged": dict(self._merged),
            "dropped": dict(self._dropped),
            "found_s": dict(self._found_s),
        }

    def restore(self, messages: Iterable[InFlight], state: Mapping[str, Any]) -> None:
        """Take over the messages and the state of another mailbox."""
        for message in messages:
            self.post(message)
        self._merged.update(state["merged"])
        self._dropped.update(state["dropped"])
        self._found_s.update(state["found_s"])

    def open(
        self,
        receiver: int,
        hop: int,
        round: int,
        now_s: float,
        fragment: int = 0,
        awaited: Collection[int] = (),
    ) -> Opened:
        """Take the messages about a fragment that have arrived for an agent on a hop.

        Args:
            receiver, hop, round: the agent, the hop, and the agent's round.
            now_s: simulated time.
            fragment: fragment that the messages are about.
            awaited: senders that still send: a quorum is one of these and of those whose messages are new
                or under way.

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
        key = receiver, hop, fragment
        if not self._is_ripe(key, round, now_s, awaited):
            return Opened(())
        superseded = self._dropped.pop(key, 0)
        latest: list[InFlight] = []
        for sender, messages in sorted(self._held.pop(key, {}).items()):
            in_flight = [each for each in messages if each.arrival_s > now_s]
            if in_flight:
                self._held[key][sender] = in_flight
            merged = self._merged.get((key, sender), 0)
            arrived = [each for each in messages if each.arrival_s <= now_s]
            if any(each.round > merged for each in arrived):
                latest.append(max(arrived, key=_round))
            superseded += len(arrived)
        taken = [
            each for each in latest if self.staleness.age(round, each.round) <= self.staleness.bound
        ]
        for each in taken:
            self._merged[key, each.sender] = each.round
        return Opened(tuple(taken), len(latest) - len(taken), superseded - len(latest))

    def _is_ripe(self, box: Box, round: int, now_s: float, awaited: Collection[int]) -> bool:
        """Return whether a quorum has arrived, and its time of grace is over."""
        if self.quorum == 1 and not self.grace_s:
            return True
        held = self._held.get(box, {})
        arrived = {s for s, messages in held.items() if self._is_new(box, messages, round, now_s)}
        under_way = {s for s, messages in held.items() if messages[-1].arrival_s > now_s}
        expected = {*awaited, *arrived, *under_way}
        if not arrived or len(arrived) < min(self.quorum, len(expected)):
            self._found_s.pop(box, None)
            return False
        found_s = self._found_s.setdefault(box, now_s)
        if len(arrived) < len(expected) and now_s < found_s + self.grace_s:
            return False
        del self._found_s[box]
        return True

    def _is_new(self, box: Box, messages: Sequence[InFlight], round: int, now_s: float) -> bool:
        """Return whether the latest of a sender's messages that have arrived can still be merged."""
        arrived = [each for each in messages if each.arrival_s <= now_s]
        if not arrived:
            return False
        latest = max(arrived, key=_round)
        is_fresh = self.staleness.age(round, latest.round) <= self.staleness.bound
        return is_fresh and latest.round > self._merged.get((box, latest.sender), 0)


def _round(message: InFlight) -> int:
    return message.round
