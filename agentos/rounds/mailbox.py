"""Messages under way, and what of them a receiver merges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
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
        self._held: dict[tuple[int, int], dict[int, list[Letter]]] = defaultdict(dict)
        self._merged: dict[tuple[int, int, int], int] = {}
        self._dropped: dict[tuple[int, int], int] = defaultdict(int)

    def post(self, letter: Letter, opens_s: float | None = None) -> None:
        """Put a letter on its way.

        Args:
            letter: to send.
            opens_s: when the receiver will look next, where that is known: of what a sender gets there
                before, the latest alone is kept, so that a slow receiver does not fill the store of messages.
        """
        key = letter.receiver, letter.hop
        letters = [*self._held[key].get(letter.sender, ()), letter]
        if opens_s is not None:
            by_then = [each for each in letters if each.arrival_s <= opens_s]
            kept = [max(by_then, key=_round)] if by_then else []
            self._dropped[key] += len(by_then) - len(kept)
            letters = kept + [each for each in letters if each.arrival_s > opens_s]
        self._held[key][letter.sender] = letters

    def close(self, receiver: int) -> None:
        """Throw away what is held for an agent that will look no more."""
        for key in [key for key in self._held if key[0] == receiver]:
            del self._held[key]

    @property
    def letters(self) -> list[Letter]:
        """All that are under way, or wait for their receivers; those of a sender as they were posted."""
        held = (by_sender[sender] for by_sender in self._held.values() for sender in by_sender)
        return [letter for letters in held for letter in letters]

    @property
    def memory(self) -> dict[str, Any]:
        """What it remembers of letters that it holds no more; see `recall`."""
        return {"merged": dict(self._merged), "dropped": dict(self._dropped)}

    def recall(self, letters: Iterable[Letter], memory: Mapping[str, Any]) -> None:
        """Take over the letters and the memory of another."""
        for letter in letters:
            self.post(letter)
        self._merged.update(memory["merged"])
        self._dropped.update(memory["dropped"])

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
        key = receiver, hop
        superseded = self._dropped.pop(key, 0)
        latest: list[Letter] = []
        for sender, letters in sorted(self._held.pop(key, {}).items()):
            under_way = [letter for letter in letters if letter.arrival_s > now_s]
            if under_way:
                self._held[key][sender] = under_way
            merged = self._merged.get((receiver, hop, sender), 0)
            arrived = [letter for letter in letters if letter.arrival_s <= now_s]
            if any(letter.round > merged for letter in arrived):
                latest.append(max(arrived, key=_round))
            superseded += len(arrived)
        taken = [
            letter
            for letter in latest
            if self.staleness.age(round, letter.round) <= self.staleness.bound
        ]
        for letter in taken:
            self._merged[receiver, hop, letter.sender] = letter.round
        return Opened(tuple(taken), len(latest) - len(taken), superseded - len(latest))


def _round(letter: Letter) -> int:
    return letter.round
