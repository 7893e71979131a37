"""Staleness of messages in asynchronous runs: the bound on their age, and their weight by age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocols.messages import Message


@dataclass(frozen=True)
class Staleness:
    """Rule by which a receiver weighs messages by their age.

    A message that was sent at the end of its sender's round ``m`` and is merged at the end of the receiver's
    round ``r`` has the staleness ``s = max(0, r - m)``: that of a sender who is ahead is 0. Its weight is
    ``(1 + s) ** -discount`` of a fresh one's, and it is discarded where ``s`` exceeds the bound.

    Attributes:
        bound: largest staleness that is accepted, in rounds.
        discount: exponent, at least 0; with 0 all accepted messages have the same weight.
        rounds: number of rounds of the run; a message from a later one is invalid.

    Source: Xie et al., Asynchronous Federated Optimization, 2019 (FedAsync), for the polynomial.

    Example:
        >>> rule = Staleness(bound=4, discount=0.5, rounds=20)
        >>> [rule.age(round=7, sent=sent) for sent in (9, 7, 4)], rule.factor(3)
        ([0, 0, 3], 0.5)
    """

    bound: int
    discount: float
    rounds: int

    def age(self, round: int, sent: int) -> int:
        """Return the staleness of a message sent in one round, at a receiver in another."""
        return max(0, round - sent)

    def factor(self, age: int) -> float:
        """Return the weight of a message of this staleness relative to a fresh one."""
        return float((1 + age) ** -self.discount)

    def accepted(self, round: int) -> tuple[int, int]:
        """Return the earliest and the latest round that a receiver accepts messages from."""
        return max(1, round - self.bound), self.rounds

    def discounts(self, round: int, inbox: Iterable[Message]) -> dict[int, float]:
        """Return the weight of each message by its sender."""
        ages = {each.envelope.sender: self.age(round, each.envelope.round) for each in inbox}
        return {sender: self.factor(age) for sender, age in ages.items()}
