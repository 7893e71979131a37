"""Hops, the steps of a round: the direction of their messages, and the edges that these travel along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property
from typing import Any

Edge = tuple[int, int]


class Direction(str, Enum):
    """Direction in which the messages of a hop travel."""

    PEER = "peer"
    UP = "up"
    DOWN = "down"

    __str__ = str.__str__


@dataclass(frozen=True)
class Hop:
    """One step of a round: all of its messages are sent before any of them is merged.

    Args:
        index: place of the hop in its round, from 0.
        direction: among peers, up towards the root, or down from it.
        edges: (sender, receiver) pairs; kept sorted.

    Example:
        >>> hop = Hop(index=0, direction=Direction.UP, edges=((2, 0), (1, 0)))
        >>> hop.senders(0), hop.recipients(0), hop.participants
        ((1, 2), (), (0, 1, 2))
    """

    index: int
    direction: Direction
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", tuple(sorted(self.edges)))

    def recipients(self, sender: int) -> tuple[int, ...]:
        """Return the agents that ``sender`` sends to in this hop, ascending."""
        return self._recipients.get(sender, ())

    def senders(self, receiver: int) -> tuple[int, ...]:
        """Return the agents that send to ``receiver`` in this hop, ascending."""
        return self._senders.get(receiver, ())

    @cached_property
    def participants(self) -> tuple[int, ...]:
        """Agents that send or receive in this hop, ascending."""
        return tuple(sorted(self._recipients.keys() | self._senders.keys()))

    @cached_property
    def _recipients(self) -> dict[int, tuple[int, ...]]:
        return grouped(self.edges)

    @cached_property
    def _senders(self) -> dict[int, tuple[int, ...]]:
        return grouped((receiver, sender) for sender, receiver in self.edges)

    def __getstate__(self) -> dict[str, Any]:
        return fields_only(self)


def grouped(pairs: Iterable[Edge]) -> dict[int, tuple[int, ...]]:
    """Return, for each first member, its second members in ascending order."""
    groups: dict[int, list[int]] = {}
    for first, second in pairs:
        groups.setdefault(first, []).append(second)
    return {first: tuple(sorted(seconds)) for first, seconds in groups.items()}


def fields_only(value: Any) -> dict[str, Any]:
    """Return the state to pickle: the fields, without the values that `cached_property` stored."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
