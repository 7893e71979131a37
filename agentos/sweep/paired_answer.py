"""The answer of a sweep: each arm at each value of an axis, compared with a baseline under the same seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentos.evaluation.base import Metric
from agentos.records.reader import load_run
from agentos.reporting.statistics import Interval, holm, interval, interval_text, paired_p
from agentos.reporting.units import sample_text
from agentos.sweep.config import ARM
from agentos.sweep.rows import FINISHED, Row
from protocols.errors import ConfigurationError

SIGNIFICANT = 0.05

Key = tuple[Any, ...]
"""Values that a run shares with those it is paired with: its seed, then its values on the axes not shown."""


@dataclass(frozen=True)
class Line:
    """One arm at one value of an axis, or one value each of any two axes.

    Attributes:
        group: the value that the line shares with its baseline; empty if nothing is grouped.
        name: the value that is compared.
        seeds: number of seeds with a finished run.
        mean: mean agent, over seeds.
        best, worst: the best and the worst agent of a run, on average over runs.
        gain: paired difference from the baseline, over common seeds; None for the baseline itself.
        p: its p value, corrected for all comparisons of the answer; None where there is no gain.
        payload_bytes, flops: of all agents of a run, on average over runs.
    """

    group: str
    name: str
    seeds: int
    mean: Interval
    best: float | None
    worst: float
    gain: Interval | None
    p: float | None
    payload_bytes: float
    flops: float


@dataclass(frozen=True)
class Answer:
    """All lines of a sweep on one metric.

    Attributes:
        metric: the metric that is compared.
        across, by: the axes (or ``arm``) of the lines' names and groups; ``by`` is empty without one.
        baseline: name of the lines that the others of their group are compared with.
        sample: what a run's scores are means of.
    """

    metric: Metric
    across: str
    by: str
    baseline: str
    lines: tuple[Line, ...]
    sample: str

    @property
    def sentence(self) -> str:
        """Which line gains most over its baseline beyond chance, or that none does."""
        sure = [line for line in self.lines if self.is_better(line)]
        if not sure:
            return f"Nothing is better than {self.baseline} beyond chance (Holm-corrected p < {SIGNIFICANT})."
        top = max(sure, key=lambda line: self._sign * line.gain.mean if line.gain else 0.0)
        assert top.gain is not None
        where = f" with {self.by} {top.group}" if top.group else ""
        gained = interval_text(top.gain, self.metric, signed=True)
        return (
            f"{top.name}{where} gains most over {self.baseline}: {gained} {self.metric.title} "
            f"in {top.seeds} seeds; {len(sure)} of {len(self.compared)} comparisons gain beyond chance."
        )

    @property
    def compared(self) -> list[Line]:
        """The lines that have a baseline to be compared with."""
        return [line for line in self.lines if line.gain is not None]

    def is_better(self, line: Line) -> bool:
        """Return whether a line is better than its baseline beyond chance."""
        if line.gain is None or line.p is None:
            return False
        return self._sign * line.gain.mean > 0 and line.p < SIGNIFICANT

    def as_json(self) -> dict[str, Any]:
        """Return the answer as plain values; an interval that one seed leaves unknown is None."""
        lines = [
            {**asdict(line), "mean": _plain(line.mean), "gain": _plain(line.gain)}
            for line in self.lines
        ]
        return {
            "metric": self.metric.name,
            "across": self.across,
            "by": self.by,
            "baseline": self.baseline,
            "sentence": self.sentence,
            "sample": self.sample,
            "lines": lines,
        }

    @property
    def _sign(self) -> int:
        return 1 if self.metric.higher_is_better else -1


@dataclass(frozen=True)
class Question:
    """Choice of a comparison; fields not given follow from the sweep.

    Args:
        metric: name of a metric; by default the first that was measured.
        across: ``arm`` or an axis, whose values are compared; by default the arm.
        by: ``arm`` or an axis, within whose values they are compared; by default the first other axis.
        baseline: the value that the others are compared with; by default the first in the sweep.
    """

    metric: str | None = None
    across: str = ARM
    by: str | None = None
    baseline: str | None = None


def answer(
    rows: Sequence[Row], meanings: Mapping[str, Metric], question: Question | None = None
) -> Answer | None:
    """Compare the finished runs of a sweep; None if none has finished.

    Axes that are not shown are averaged over; runs are paired by seed and by their values there.

    Args:
        rows: the rows of the sweep, in its order.
        meanings: the metrics, by name, in the order of the tasks; see `meanings_of`.
        question: what to compare.

    Raises:
        ConfigurationError: the question names a metric, an axis or a baseline that does not exist.
    """
    asked = question or Question()
    done = [row for row in rows if row["status"] == FINISHED]
    if not done:
        return None
    metric = _metric(done, meanings, asked.metric)
    axes = [ARM, *(name.removeprefix("axis.") for name in done[0] if name.startswith("axis."))]
    _require("axis", asked.across, axes)
    others = [axis for axis in axes if axis != asked.across]
    by = asked.by if asked.by is not None else next(iter(others), "")
    if by:
        _require("axis", by, others)
    names = list(dict.fromkeys(value_on(row, asked.across) for row in rows))
    baseline = names[0] if asked.baseline is None else asked.baseline
    _require("baseline", baseline, names)
    rest = [axis for axis in others if axis != by]
    groups: dict[tuple[str, str], dict[Key, Row]] = defaultdict(dict)
    for row in done:
        if row.get(f"{metric.name}.mean") is not None:
            key = (row["seed"], *(value_on(row, axis) for axis in rest))
            groups[value_on(row, by) if by else "", value_on(row, asked.across)][key] = row
    lines = _lines(groups, metric, baseline)
    documents = {row["heldout"] for row in done if row.get("heldout")}
    sample = sample_text({row["agents"] for row in done}, documents)
    return Answer(metric, asked.across, by, baseline, lines, sample)


def meanings_of(folder: Path, rows: Iterable[Row]) -> dict[str, Metric]:
    """Return the metrics of a sweep's finished runs, by name, as their folders describe them.

    Raises:
        RecordError: the folder of the first finished run is missing or damaged.
    """
    first = next((row for row in rows if row["status"] == FINISHED), None)
    return {} if first is None else load_run(folder / first["folder"]).meanings


def _lines(
    groups: Mapping[tuple[str, str], Mapping[Key, Row]], metric: Metric, baseline: str
) -> tuple[Line, ...]:
    gains: dict[tuple[str, str], tuple[Interval, float]] = {}
    for (group, name), runs in groups.items():
        reference = groups.get((group, baseline))
        common = sorted(runs.keys() & reference.keys()) if reference and name != baseline else []
        if reference and common:
            mine, others = (
                _by_seed({key: found[key][f"{metric.name}.mean"] for key in common})
                for found in (runs, reference)
            )
            gains[group, name] = (
                interval(np.subtract(mine, others).tolist()),
                paired_p(mine, others),
            )
    order = list(dict.fromkeys(group for group, _ in groups))
    corrected = dict(zip(gains, holm([p for _, p in gains.values()]), strict=True))
    return tuple(
        _line(
            where, runs, metric, gains[where][0] if where in gains else None, corrected.get(where)
        )
        for where, runs in sorted(groups.items(), key=lambda item: order.index(item[0][0]))
    )


def _line(
    where: tuple[str, str],
    runs: Mapping[Key, Row],
    metric: Metric,
    gain: Interval | None,
    p: float | None,
) -> Line:
    pick = max if metric.higher_is_better else min
    agents = [
        [v for v in row.get(f"{metric.name}.agents") or [] if v is not None]
        for row in runs.values()
    ]
    best = [pick(values) for values in agents if values]
    means = _by_seed({key: row[f"{metric.name}.mean"] for key, row in runs.items()})
    return Line(
        *where,
        seeds=len(means),
        mean=interval(means),
        best=float(np.mean(best)) if best else None,
        worst=float(np.mean([row[f"{metric.name}.worst"] for row in runs.values()])),
        gain=gain,
        p=p,
        payload_bytes=float(np.mean([row["payload_bytes"] for row in runs.values()])),
        flops=float(np.mean([row["flops"] for row in runs.values()])),
    )


def _plain(value: Interval | None) -> dict[str, float | None] | None:
    if value is None:
        return None
    half = value.half_width if np.isfinite(value.half_width) else None
    return {"mean": value.mean, "half_width": half}


def _by_seed(values: Mapping[Key, float]) -> list[float]:
    """Average the values of each seed, in the order of the seeds."""
    seeds: dict[int, list[float]] = defaultdict(list)
    for key, value in values.items():
        seeds[key[0]].append(value)
    return [float(np.mean(seeds[seed])) for seed in sorted(seeds)]


def _metric(rows: Sequence[Row], meanings: Mapping[str, Metric], name: str | None) -> Metric:
    measured = [m for m in meanings if any(row.get(f"{m}.mean") is not None for row in rows)]
    if name is None and measured:
        return meanings[measured[0]]
    _require("metric", name or "", measured)
    return meanings[name or ""]


def _require(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ConfigurationError(
            f"the sweep has no {what} {name!r}",
            expected=", ".join(known) or "none",
            actual=repr(name),
            hint=f"name one of them, or leave the {what} out",
        )


def value_on(row: Row, axis: str) -> str:
    """Return a run's arm, or its value on an axis."""
    return str(row[ARM] if axis == ARM else row[f"axis.{axis}"])
