"""Work that claims take: tokens that agents embed for them, and comparisons of points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from agentos.preflight.flops import Size

T = TypeVar("T")


@dataclass
class ClaimWork:
    """Work of one episode for its claims.

    Attributes:
        tokens: tokens embedded without a gradient, by agent.
        comparison_flops: operations of cosines between points.
    """

    tokens: Counter[int] = field(default_factory=Counter)
    comparison_flops: int = 0

    def embedded(self, found: Mapping[int, tuple[T, int]]) -> dict[int, T]:
        """Count the tokens of a call by agent, and return what it found."""
        self.tokens.update({agent: tokens for agent, (_, tokens) in found.items()})
        return {agent: value for agent, (value, _) in found.items()}

    def compared(self, points: int, claims: int, width: int) -> None:
        """Count the cosines of points with claims: a product and a sum in each dimension."""
        self.comparison_flops += 2 * points * claims * width

    def flops(self, sizes: Mapping[int, Size], length: int) -> int:
        """Return the operations of all agents, on texts of at most `length` tokens."""
        embedding = sum(size.flops(length, 0, self.tokens[a]) for a, size in sizes.items())
        return embedding + self.comparison_flops
