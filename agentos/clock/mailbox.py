"""Messages under way, and what of them a receiver merges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from agents.exchange.staleness import Staleness


@dataclass(frozen=True)
class Letter:
    """A message on its way over one edge.

    Attributes:
        hop: on which it was sent, and on which it is merged.
        round: of the sender.
        arrival_s: when it is there.
        handle: of the outbox that it lies in.
        index: within that.
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
    """What an agent found in its mailbox.

    Attributes:
        letters: to merge: the latest of each sender, senders ascending.
        stale: letters that were too old.
        superseded: letters of which the sender has sent a later one that is there too, or was merged.
    """

    letters: tuple[Letter, ...]
    stale: int = 0
    superseded: int = 0


class Mailbox:
    """Holds every letter until its receiver takes it.

    Args:
        staleness: the rule for old ones.
    """

    def __init__(self, staleness: Staleness) -> None:
        self.staleness = staleness
        self._held: dict[tuple[int, int], list[Letter]] = defaultdict(list)
        self._merged: dict[tuple[int, int, int], int] = {}

    def post(self, letter: Letter) -> None:
        """Put a letter on its way."""
        self._held[letter.receiver, letter.hop].append(letter)

    def open(self, receiver: int, hop: int, round: int, now_s: float) -> Opened:
        """Take what has arrived for an agent on a hop.

        Example:
            >>> box = Mailbox(Staleness(bound=1, discount=0.5, rounds=9))
            >>> for round, arrival_s in ((1, 1.0), (2, 2.0), (3, 3.5)):
            ...     box.post(Letter(4, 0, 0, round, arrival_s))
            >>> found = box.open(receiver=0, hop=0, round=3, now_s=3.0)
            >>> [letter.round for letter in found.letters], found.superseded
            ([2], 1)
            >>> box.open(receiver=0, hop=0, round=9, now_s=4.0)
            Opened(letters=(), stale=1, superseded=0)
        """
        held = self._held.pop((receiver, hop), [])
        under_way = [letter for letter in held if letter.arrival_s > now_s]
        if under_way:
            self._held[receiver, hop] = under_way
        latest: dict[int, Letter] = {}
        arrived = [letter for letter in held if letter.arrival_s <= now_s]
        for letter in arrived:
            known = latest.get(letter.sender)
            earlier = known.round if known else self._merged.get((receiver, hop, letter.sender), 0)
            if letter.round > earlier:
                latest[letter.sender] = letter
        taken = [
            letter
            for _, letter in sorted(latest.items())
            if self.staleness.age(round, letter.round) <= self.staleness.bound
        ]
        for letter in taken:
            self._merged[receiver, hop, letter.sender] = letter.round
        return Opened(tuple(taken), len(latest) - len(taken), len(arrived) - len(latest))
