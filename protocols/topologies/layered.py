"""Layers: agents in a tree, whose messages go up to the root level by level, and down again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, final

from pydantic import Field, model_validator

from protocols.errors import TopologyError
from protocols.topologies.base import Topology
from protocols.topologies.hops import Direction, Edge, Hop
from protocols.topologies.network import Family, Network


@final
@dataclass(frozen=True, kw_only=True)
class TreeNetwork(Network):
    """A rooted tree: each round gathers up to the root, level by level, and then spreads down."""

    @classmethod
    def of(
        cls,
        parents: Sequence[int | None],
        *,
        family: Family = "layered",
        roles: Sequence[str] | None = None,
    ) -> TreeNetwork:
        """Return the tree where ``parents[agent]`` is each agent's parent, None for the root.

        Args:
            parents: one entry per agent.
            family: ``layered`` or ``master_slave``.
            roles: one per agent; by default root, leaf (no children) and relay (all others).

        Raises:
            TopologyError: a parent does not exist, or following parents never ends at a root.

        Example:
            >>> tree = TreeNetwork.of([None, 0, 0])
            >>> [(str(hop.direction), hop.edges) for hop in tree.hops(0)]
            [('up', ((1, 0), (2, 0))), ('down', ((0, 1), (0, 2)))]
        """
        return cls(
            agents=len(parents),
            family=family,
            edges=tuple((p, agent) for agent, p in enumerate(parents) if p is not None),
            roles=tuple(_roles(parents) if roles is None else roles),
            levels=_levels(parents),
            arrangement="levels",
        )

    def _hops(self, round: int) -> tuple[Hop, ...]:
        upward: dict[int, list[Edge]] = {}
        for child, parent in self._parents.items():
            upward.setdefault(self.levels[child], []).append((child, parent))
        depths = sorted(upward, reverse=True)
        up = [(Direction.UP, upward[depth]) for depth in depths]
        down = [(Direction.DOWN, [edge[::-1] for edge in upward[depth]]) for depth in depths[::-1]]
        return tuple(
            Hop(index=index, direction=direction, edges=tuple(edges))
            for index, (direction, edges) in enumerate(up + down)
        )


@final
class Layered(Topology):
    """A tree of agents: messages go up level by level to the root, and down again."""

    kind: Literal["layered"] = "layered"
    levels: tuple[int, ...] | None = Field(
        default=None,
        description="agents on each level from the top: the first is 1, all sum to the agents",
    )
    branching: int | None = Field(
        default=2,
        ge=1,
        description="children of each agent, filled level by level; null where levels are given",
    )

    @model_validator(mode="before")
    @classmethod
    def _levels_replace_branching(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("levels") is not None:
            return {"branching": None, **values}
        return values

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Layered:
        if (self.levels is None) == (self.branching is None):
            raise ValueError("give either levels or branching, and set the other to null")
        if self.levels is not None and (self.levels[:1] != (1,) or min(self.levels) < 1):
            raise ValueError("levels must begin with 1, the root, and hold at least 1 agent each")
        return self

    def _network(self, agents: int, seed: int) -> TreeNetwork:
        if self.branching is not None:
            above = [(agent - 1) // self.branching for agent in range(1, agents)]
            return TreeNetwork.of([None, *above])
        levels = self.levels or ()
        if sum(levels) != agents:
            raise TopologyError(
                "the levels do not hold all agents",
                expected=f"levels that sum to {agents}",
                actual=f"{list(levels)}, which sum to {sum(levels)}",
                hint=f"change topology.levels, or run {sum(levels)} agents",
            )
        return TreeNetwork.of(_spread(levels))


def _spread(levels: Sequence[int]) -> list[int | None]:
    """Return each agent's parent, sharing each level out evenly over the level above."""
    parents: list[int | None] = [None]
    start = 0
    for above, here in pairwise(levels):
        parents += [start + place * above // here for place in range(here)]
        start += above
    return parents


def _roles(parents: Sequence[int | None]) -> list[str]:
    has_children = set(parents)
    return [
        "root" if parent is None else "relay" if agent in has_children else "leaf"
        for agent, parent in enumerate(parents)
    ]


def _levels(parents: Sequence[int | None]) -> tuple[int, ...]:
    """Return each agent's distance from the root, following parents without recursion."""
    levels: dict[int | None, int] = {None: -1}
    for agent in range(len(parents)):
        path: list[int] = []
        step: int | None = agent
        while step not in levels:
            if step is None or not 0 <= step < len(parents) or len(path) > len(parents):
                raise TopologyError(
                    "the parents make no tree",
                    expected=f"a parent 0 to {len(parents) - 1} for each, and None for the root",
                    actual=f"from agent {agent} up: {path[:5]}",
                    hint="check the parents",
                )
            path.append(step)
            step = parents[step]
        for distance, passed in enumerate(reversed(path), start=1):
            levels[passed] = levels[step] + distance
    return tuple(levels[agent] for agent in range(len(parents)))
