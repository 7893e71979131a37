"""Texts divided among agents."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from agentos.tasks.decomposition.base import Decomposition, WholeTask
from agentos.tasks.decomposition.division import Division, Labels, Part, Rows


class Shards(Decomposition):
    """Neighbouring texts for each agent, as many as its speed and their lengths allow."""

    kind: Literal["shards"] = "shards"
    per_agent: int = Field(
        1, ge=1, le=64, description="Shards for each agent; with several, a lost agent costs less."
    )

    def divide(self, whole: WholeTask) -> Division:
        """Cut the texts where the shares of the agents' speeds end; see `Decomposition.divide`."""
        columns = tuple((each,) for each in range(len(whole.classes)))
        undivided = Division(len(columns), (Part("all", columns),))
        return self.for_texts(undivided, whole.costs, whole.speeds)

    def for_texts(self, division: Division, costs: Rows, speeds: tuple[float, ...]) -> Division:
        """Cut other texts; see `Decomposition.for_texts`."""
        # Fastest first, so that the cuts do not depend on the order of the agents.
        shares = np.repeat(np.sort(speeds)[::-1], self.per_agent)
        groups = division.parts[0].groups
        shards = [rows for rows in cut(costs, shares) if len(rows)]
        parts = [Part(f"shard-{i}", groups, rows=rows) for i, rows in enumerate(shards)]
        return Division(division.classes, tuple(parts))


def cut(costs_N: Rows, shares: Rows) -> list[Labels]:
    """Return contiguous positions for each share, whose costs are as near to it as whole texts allow.

    Example:
        >>> [rows.tolist() for rows in cut(np.array([1.0, 1.0, 4.0, 2.0]), np.array([3.0, 1.0]))]
        [[0, 1, 2], [3]]
    """
    costs = costs_N if costs_N.sum() > 0 else np.ones(len(costs_N))
    ends = np.cumsum(costs)
    wanted = np.cumsum(shares)[:-1] / shares.sum() * ends[-1]
    # Up to the text whose middle lies beyond the wanted cost.
    places = np.searchsorted(ends - costs / 2, wanted, side="left")
    return np.split(np.arange(len(costs), dtype=np.int64), places)
