"""Curves of metrics over rounds that grow with a run and stay small: means, bands, and few agents' lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST_POINTS = 240
"""Points of a curve; when there are more, every second one is left out from then on."""
LINES = 12
"""Most agents that have a line each; more are a mean and the band that holds the middle 80 % of them."""

Point = list[Any]
"""Round, mean, low and high end of the band, and each agent's value where there are few agents."""


class Curve:
    """One metric of one arm; its last round may still get values.

    Args:
        agents: number of agents.
    """

    def __init__(self, agents: int) -> None:
        self.points: list[Point] = []
        self._agents = agents
        self._stride = 1
        self._seen = 0
        self._open: dict[int, float] = {}

    def add(self, round: int, agent: int, value: float) -> None:
        """Add the value of an agent after a round; rounds come in order."""
        if not self.points or self.points[-1][0] != round:
            self._begin(round)
        self._open[agent] = value

    def as_json(self) -> list[Point]:
        """Return the points, the last round with the values that it has so far."""
        if self._open:
            self.points[-1] = self._point(self.points[-1][0])
        return self.points

    def _begin(self, round: int) -> None:
        """Close the last round, and begin another; the last point is always the latest round."""
        if self.points:
            self.points[-1] = self._point(self.points[-1][0])
            if (self._seen - 1) % self._stride:  # it was kept only while it was the latest
                self.points.pop()
        self._open = {}
        self.points.append([round])
        self._seen += 1
        if len(self.points) > MOST_POINTS:
            self.points = self.points[:-1][::2] + self.points[-1:]
            self._stride *= 2

    def _point(self, round: int) -> Point:
        values = np.fromiter(self._open.values(), np.float64)
        low, high = np.quantile(values, [0.1, 0.9])
        point: Point = [round, *(_short(value) for value in (values.mean(), low, high))]
        if self._agents <= LINES:
            found = [self._open.get(agent) for agent in range(self._agents)]
            point.append([None if value is None else _short(value) for value in found])
        return point


class Curves:
    """The curves of the arms of a run.

    Args:
        metrics: names of the metrics to draw.
        agents: number of agents.
    """

    def __init__(self, metrics: Sequence[str], agents: int) -> None:
        self._metrics = frozenset(metrics)
        self._agents = agents
        self._curves: dict[str, dict[str, Curve]] = {}

    def add(self, arm: str, row: Mapping[str, Any], agent: int) -> None:
        """Add a line of metrics."""
        for name in self._metrics & row.keys():
            if (value := finite(row[name])) is not None:
                arms = self._curves.setdefault(name, {})
                arms.setdefault(arm, Curve(self._agents)).add(row["round"], agent, value)

    def forget(self, arm: str) -> None:
        """Forget an arm, whose records begin again."""
        for arms in self._curves.values():
            arms.pop(arm, None)

    def as_json(self) -> dict[str, dict[str, list[Point]]]:
        """Return metric -> arm -> points."""
        return {
            name: {arm: curve.as_json() for arm, curve in arms.items()}
            for name, arms in self._curves.items()
        }


def finite(value: Any) -> float | None:
    """Return a number that is finite, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _short(value: float) -> float:
    """Return a number to five figures: the page shows three."""
    return float(f"{value:.5g}")
