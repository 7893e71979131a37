"""Figures of a graph that are costly to compute."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import reduce
from operator import or_

LIMIT = 2_000
"""Maximum agents for which figures of quadratic or cubic cost are computed."""


def diameter(neighbours: Sequence[Set[int]]) -> int:
    """Return the most edges on a shortest path between two agents of a connected graph.

    All breadth-first searches advance together: the agents that one has reached are the bits of an
    integer, so that a step over N agents and E edges costs 2E operations on N bits.

    Args:
        neighbours: for each agent 0..N-1, the agents that it shares an edge with.

    Example:
        >>> diameter([{1}, {0, 2}, {1}])
        2
    """
    everyone = (1 << len(neighbours)) - 1
    reached = [1 << agent for agent in range(len(neighbours))]
    steps = 0
    while any(some != everyone for some in reached):
        wider = [
            reduce(or_, (reached[other] for other in neighbours[agent]), some)
            for agent, some in enumerate(reached)
        ]
        if wider == reached:
            raise ValueError("a graph that is not connected has no diameter")
        reached, steps = wider, steps + 1
    return steps
