"""A tidy drawing of a tree: levels from top to bottom, parents centred over their children.

Shapes: N agents. Lengths are in columns (x) and levels (y).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from protocols.topologies import Network

WIDE = 40
"""Leaves beside each other from which on those of one parent are stacked in rows."""

STACKED_FROM = 12
"""Fewest leaves of one parent that are stacked: the lines to fewer would hide behind each other."""

ROW = 0.22
"""Distance of stacked rows, in levels."""


@dataclass
class _Pen:
    """Columns used so far, and what has been placed."""

    x: npt.NDArray[np.float64]
    row: npt.NDArray[np.float64]
    columns: int = 0
    placed: list[int] = field(default_factory=list)


def tidy_tree(network: Network, stacked: bool) -> npt.NDArray[np.float64]:
    """Return positions ``[N, 2]``: each leaf has a column of its own, or shares it in a stack.

    Args:
        network: with parents and levels.
        stacked: whether many leaves of one parent may be stacked in rows.
    """
    leaves = sum(not network.children(agent) for agent in range(network.agents))
    rows = math.ceil(leaves / max(WIDE, math.isqrt(3 * leaves))) if stacked else 1
    pen = _Pen(x=np.zeros(network.agents), row=np.zeros(network.agents))
    stack = [agent for agent in range(network.agents) if network.parent(agent) is None][::-1]
    while stack:
        agent = stack.pop()
        pen.placed.append(agent)
        children = network.children(agent)
        own = [child for child in children if not network.children(child)]
        if rows > 1 and len(own) >= STACKED_FROM:
            _stack(pen, own, rows)
            children = tuple(child for child in children if network.children(child))
        elif not children:
            pen.x[agent], pen.columns = pen.columns, pen.columns + 1
        stack.extend(reversed(children))
    for agent in reversed(pen.placed):
        if children := network.children(agent):
            below = pen.x[list(children)]
            pen.x[agent] = (below.min() + below.max()) / 2
    return np.stack([pen.x, _heights(network, pen.row)], axis=1)


def _stack(pen: _Pen, leaves: list[int], rows: int) -> None:
    """Place leaves in rows, every second row half a column further."""
    columns = math.ceil(len(leaves) / rows)
    for place, leaf in enumerate(leaves):
        row, column = divmod(place, columns)
        pen.x[leaf] = pen.columns + column + 0.5 * (row % 2)
        pen.row[leaf] = row
    pen.columns += columns + 1


def _heights(network: Network, row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the height of each agent: 1 between levels, more below a level with stacked rows."""
    levels = np.array(network.levels)
    tops = [0.0]
    for level in range(int(levels.max())):
        rows = row[levels == level]
        tops.append(tops[-1] - 1 - ROW * float(rows.max() if len(rows) else 0))
    return np.asarray(np.array(tops)[levels] - ROW * row, dtype=np.float64)
