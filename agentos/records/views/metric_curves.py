"""Metrics over rounds and over simulated time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentos.evaluation.base import Metric
from agentos.records.layout import agent_number
from agentos.records.reader import Row, RunRecord

SIMULATED_S = "simulated_s"
"""Key of the simulated seconds at which an agent ended a round."""
TIMED_POINTS = 200
"""Points of a curve over simulated time; a longer one is thinned."""

Points = tuple[list[int], list[float]]
"""Rounds, and the values at them."""
TimedCurve = tuple[list[float], list[float], list[float]]
"""Simulated seconds, and the mean and the worst value over agents by then."""


@dataclass(frozen=True)
class ArmCurve:
    """One metric of the agents of one arm.

    Args:
        by_agent: agent -> rounds and values, gaps left out.
        by_round: round -> the agents' values, for the rounds that have any.
        mean, worst: over the agents, one value for each of these rounds.
    """

    by_agent: Mapping[int, Points]
    by_round: Mapping[int, Sequence[float]]
    mean: Sequence[float]
    worst: Sequence[float]

    @property
    def rounds(self) -> list[int]:
        """The rounds in which any agent has a value."""
        return list(self.by_round)


@dataclass(frozen=True)
class MetricCurve:
    """One metric over rounds; `alone` is None where no baseline ran."""

    metric: Metric
    together: ArmCurve
    alone: ArmCurve | None


def metric_curves(record: RunRecord, metrics: Iterable[Metric]) -> tuple[MetricCurve, ...]:
    """Return metrics of both arms over rounds; one that was never recorded is left out."""
    curves = (
        MetricCurve(
            metric,
            arm_curve(record.metrics, metric),
            None if record.isolated is None else arm_curve(record.isolated, metric),
        )
        for metric in metrics
    )
    return tuple(curve for curve in curves if curve.together.by_agent)


def arm_curve(rows: Sequence[Row], metric: Metric) -> ArmCurve:
    """Return one metric of one arm, agents and rounds ascending."""
    points = [
        (row["round"], agent_number(row["agent"]) or 0, row[metric.name])
        for row in rows
        if row.get(metric.name) is not None
    ]
    by_agent: dict[int, Points] = defaultdict(lambda: ([], []))
    by_round: dict[int, list[float]] = defaultdict(list)
    for round, agent, value in sorted(points, key=lambda point: point[:2]):
        by_agent[agent][0].append(round)
        by_agent[agent][1].append(value)
        by_round[round].append(value)
    worst = min if metric.higher_is_better else max
    return ArmCurve(
        by_agent=dict(sorted(by_agent.items())),
        by_round=dict(by_round),
        mean=[float(np.mean(values)) for values in by_round.values()],
        worst=[worst(values) for values in by_round.values()],
    )


def timed_curve(rows: Sequence[Row], metric: Metric) -> TimedCurve:
    """Return a metric over simulated time: at each time, over the last value of every agent.

    Agents end a round at times of their own; the curve begins when every agent has a value.

    Example:
        >>> mrr = Metric(name="mrr", higher_is_better=True, help="Mean reciprocal rank.")
        >>> ends = [("agent-0", 0.0, 0.2), ("agent-1", 0.0, 0.4), ("agent-0", 1.0, 0.6)]
        >>> rows = [{"agent": a, "simulated_s": s, "mrr": v} for a, s, v in ends]
        >>> timed_curve(rows, mrr)
        ([0.0, 1.0], [0.30000000000000004, 0.5], [0.2, 0.4])
    """
    keys = (SIMULATED_S, metric.name)
    measured = [row for row in rows if all(isinstance(row.get(k), (int, float)) for k in keys)]
    measured.sort(key=lambda row: row[SIMULATED_S])
    agents = len({row["agent"] for row in measured})
    worst = min if metric.higher_is_better else max
    last: dict[str, float] = {}
    points: dict[float, tuple[float, float]] = {}
    drawn = {int(i) for i in np.linspace(0, max(len(measured) - 1, 0), TIMED_POINTS)} | {agents - 1}
    for number, row in enumerate(measured):
        last[row["agent"]] = row[metric.name]
        time = row[SIMULATED_S]
        if len(last) == agents and (number in drawn or time in points):
            points[time] = float(np.mean([*last.values()])), worst(last.values())
    return [*points], [mean for mean, _ in points.values()], [least for _, least in points.values()]
