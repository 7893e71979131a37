"""Compared runs in groups of one setting: what differs between the groups, and means over each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_config import is_joint
from agentos.records.views.config_differences import differing_fields, setting_text
from agentos.reporting.comparison import NO_SETTING, Comparison
from agentos.reporting.statistics import Interval, interval
from protocols.errors import ConfigurationError


@dataclass(frozen=True)
class SettingGroup:
    """Runs that differ in nothing but their seed.

    Args:
        settings: the fields in which the groups differ, by dotted path, in words.
        runs: names of the runs.
        mean: the mean over agents of each metric, with its 95 % interval over runs.
        worst, isolated: means over runs of the worst agent, and of the isolated baseline.
        spent: means over runs of bytes, tokens and seconds, by the columns of a comparison.
    """

    settings: Mapping[str, str]
    runs: tuple[str, ...]
    mean: Mapping[str, Interval]
    worst: Mapping[str, float]
    isolated: Mapping[str, float]
    spent: Mapping[str, float]


@dataclass(frozen=True)
class GroupedRuns:
    """Groups of runs, the best first.

    Args:
        metric: the metric by which they are ordered; None if nothing was evaluated.
        sample: what the scores are means of.
    """

    fields: tuple[str, ...]
    metric: Metric | None
    groups: tuple[SettingGroup, ...]
    sample: str

    def as_json(self) -> dict[str, Any]:
        """Return the groups as plain values; the half-width of a single run is null."""
        return {
            "metric": self.metric.name if self.metric else None,
            "fields": list(self.fields),
            "groups": [_plain(group) for group in self.groups],
        }


def group_runs(comparison: Comparison, metric: str | None = None) -> GroupedRuns:
    """Group compared runs by the fields in which their configurations differ, the seed apart.

    Args:
        comparison: the runs.
        metric: metric to order by; the first measured if None.

    Raises:
        ConfigurationError: no run measured this metric.
    """
    fields = differing_fields([run.config for run in comparison.runs], NO_SETTING)
    members: dict[tuple[str, ...], list[int]] = {}
    for index, values in enumerate(fields):
        members.setdefault(tuple(map(setting_text, values.values())), []).append(index)
    paths = tuple(fields[0])
    groups = [
        _group(dict(zip(paths, texts, strict=True)), [comparison.rows[i] for i in indices])
        for texts, indices in members.items()
    ]
    chosen = _metric(comparison.metrics, metric)
    if chosen is not None:
        groups.sort(key=lambda group: _rank(group, chosen))
    return GroupedRuns(paths, chosen, tuple(groups), comparison.sample)


def _group(settings: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> SettingGroup:
    columns = {key: [row[key] for row in rows if row[key] is not None] for key in rows[0]}
    parts: dict[str, dict[str, list[float]]] = {"mean": {}, "worst": {}, "isolated": {}}
    for key, values in columns.items():
        name, _, part = key.rpartition(".")
        if part in parts and values:
            parts[part][name] = values
    spent = ("bytes", "tokens", "wall_s", "simulated_s")
    return SettingGroup(
        settings=settings,
        runs=tuple(row["run"] for row in rows),
        mean={name: interval(values) for name, values in parts["mean"].items()},
        worst={name: float(np.mean(values)) for name, values in parts["worst"].items()},
        isolated={name: float(np.mean(values)) for name, values in parts["isolated"].items()},
        spent={name: float(np.mean(columns[name])) for name in spent if columns.get(name)},
    )


def _metric(metrics: Sequence[Metric], name: str | None) -> Metric | None:
    known = {metric.name: metric for metric in metrics if not is_joint(metric)}
    if name is None:
        return next(iter(known.values()), None)
    if name not in known:
        raise ConfigurationError(
            f"no run measured the metric {name!r}",
            expected=", ".join(known) or "nothing was evaluated",
            hint="name one of these with --metric",
        )
    return known[name]


def _rank(group: SettingGroup, metric: Metric) -> float:
    """Return what to sort by: the best mean first, groups without one last."""
    found = group.mean.get(metric.name)
    return float("inf") if found is None else -metric.gain(found.mean, 0.0)


def _plain(group: SettingGroup) -> dict[str, Any]:
    metrics = {
        name: {
            "mean": found.mean,
            "half_width": found.half_width if isfinite(found.half_width) else None,
            "worst": group.worst.get(name),
            "isolated": group.isolated.get(name),
        }
        for name, found in group.mean.items()
    }
    return {
        "settings": dict(group.settings),
        "runs": list(group.runs),
        "metrics": metrics,
        **group.spent,
    }
