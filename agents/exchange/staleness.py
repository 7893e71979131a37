"""How old a message may be where agents do not wait for each other, and what an old one counts for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocols.messages import Message


@dataclass(frozen=True)
class Staleness:
    """The rule by which a receiver judges the age of what it is sent.

    A message that was sent at the end of its sender's round ``m`` and is merged at the end of the receiver's
    round ``r`` has the staleness ``s = max(0, r - m)``: that of a sender who is ahead is none. It counts for
    ``(1 + s) ** -discount`` of a fresh one, and is discarded where ``s`` exceeds the bound.

    Attributes:
        bound: largest staleness that is accepted, in rounds.
        discount: at least 0; 0 lets every message that is accepted count alike.
        rounds: of the run: a message from a later one is none of it.

    Source: the polynomial of Xie et al., Asynchronous Federated Optimization, 2019 (FedAsync).

    Example:
        >>> rule = Staleness(bound=4, discount=0.5, rounds=20)
        >>> [rule.age(round=7, said=said) for said in (9, 7, 4)], rule.factor(3)
        ([0, 0, 3], 0.5)
    """

    bound: int
    discount: float
    rounds: int

    def age(self, round: int, said: int) -> int:
        """Return the staleness of what was said in a round, to a receiver that is in another."""
        return max(0, round - said)

    def factor(self, age: int) -> float:
        """Return what a message of this staleness counts for."""
        return float((1 + age) ** -self.discount)

    def accepted(self, round: int) -> tuple[int, int]:
        """Return the earliest and the latest round of which a receiver accepts messages."""
        return max(1, round - self.bound), self.rounds

    def discounts(self, round: int, inbox: Iterable[Message]) -> dict[int, float]:
        """Return by sender what each message counts for."""
        ages = {each.envelope.sender: self.age(round, each.envelope.round) for each in inbox}
        return {sender: self.factor(age) for sender, age in ages.items()}
