"""Several runs side by side: a table to print, and a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentos.evaluation import Metric
from agentos.records.reader import RunRecord, load_run
from agentos.reporting.charts.plotting import (
    Chart,
    bytes_axis,
    colour,
    label,
    line,
    rounds_axis,
    share_axis,
)
from agentos.reporting.charts.series import bytes_until, rounds_of
from agentos.reporting.charts.simulated_time import runs_over_time
from agentos.reporting.outcome import Outcome, outcome
from agentos.reporting.page import write_page
from agentos.reporting.report import kind_of
from agentos.reporting.units import ABSENT, bytes_text, count_text, metric_text, seconds_text
from protocols.errors import RecordError

PAGE = "comparison.html"


@dataclass(frozen=True)
class Run:
    """One of the compared runs."""

    name: str
    record: RunRecord
    result: Outcome


@dataclass(frozen=True)
class Comparison:
    """Several runs, in the order they were given.

    Args:
        runs: what was compared.
        metrics: the metrics of any of them.
        rows: one mapping per run: ``run``, ``status``, ``topology``, ``exchange``, ``agents``,
            ``rounds``, ``seed``, for each metric ``NAME.mean``, ``NAME.worst`` and
            ``NAME.isolated`` (the baseline's mean), ``bytes``, ``tokens`` and ``wall_s``, where one has
            a clock ``simulated_s`` too; None where a run lacks a value.
    """

    runs: tuple[Run, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of a row, in order."""
        return tuple(self.rows[0])

    @property
    def headings(self) -> tuple[str, ...]:
        """What the columns are called, with an arrow that says which way a metric is better."""
        titles = {m.name: f"{m.title} {'↑' if m.higher_is_better else '↓'}" for m in self.metrics}
        return tuple(_heading(column, titles) for column in self.columns)

    def texts(self) -> list[list[str]]:
        """Return the rows as people read them."""
        known = {metric.name: metric for metric in self.metrics}
        return [[_text(key, value, known) for key, value in row.items()] for row in self.rows]


def compare(directories: Sequence[str | Path]) -> Comparison:
    """Read several run folders and set their outcomes side by side.

    Raises:
        RecordError: none was given, or one is no run folder or is damaged.
    """
    if not directories:
        raise RecordError(
            "There is nothing to compare",
            expected="run folders",
            actual="none",
            hint="name the folders that `agentos run` wrote",
        )
    records = [load_run(directory) for directory in directories]
    names = [str(record.config.get("name") or record.directory.name) for record in records]
    runs = tuple(
        Run(_told_apart(names, i, record), record, outcome(record))
        for i, record in enumerate(records)
    )
    metrics = {metric.name: metric for run in runs for metric in run.result.metrics}
    ordered = tuple(metrics.values())
    clocked = any(run.result.simulated_s is not None for run in runs)
    return Comparison(runs, ordered, tuple(_row(run, ordered, clocked) for run in runs))


def write_comparison(directories: Sequence[str | Path], out: str | Path) -> Path:
    """Write a page that shows several runs side by side, and return its path.

    Args:
        directories: run folders.
        out: the page, a path that ends in ``.html``; or a folder for ``comparison.html``.

    Raises:
        RecordError: as `compare`, or the page cannot be written.
    """
    comparison = compare(directories)
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        path = path / PAGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"The comparison cannot be written to {path}",
            expected="a folder that this user may write to",
            actual=error.strerror or str(error),
            hint="choose another path",
        ) from error
    curves = [_curve(comparison, metric) for metric in comparison.metrics]
    timed = runs_over_time(
        [(run.name, run.record.metrics) for run in comparison.runs], comparison.metrics
    )
    spent = _against_bytes(comparison)
    charts = [chart for chart in (spent, timed, *curves) if chart]
    return write_page(
        path,
        "comparison.html.j2",
        charts=charts if comparison.metrics else [],
        comparison=comparison,
        against_bytes=spent,
        against_time=timed,
        curves=curves,
        chips=[
            {"key": str(i), "name": run.name, "colour": colour(i, len(comparison.runs))}
            for i, run in enumerate(comparison.runs)
        ],
        isolated=any(run.record.isolated for run in comparison.runs),
    )


def _row(run: Run, metrics: Sequence[Metric], clocked: bool) -> dict[str, Any]:
    record, result = run.record, run.result
    row: dict[str, Any] = {
        "run": run.name,
        "status": result.status,
        "topology": kind_of(record, "topology"),
        "exchange": kind_of(record, "exchange"),
        "agents": record.network.agents,
        "rounds": result.rounds,
        "seed": record.config.get("seed", 0),
    }
    for metric in metrics:
        row[f"{metric.name}.mean"] = result.together.mean.get(metric.name)
        row[f"{metric.name}.worst"] = result.together.worst.get(metric.name)
        alone = result.isolated.mean if result.isolated else {}
        row[f"{metric.name}.isolated"] = alone.get(metric.name)
    return row | {
        "bytes": result.payload_bytes,
        "tokens": result.tokens,
        "wall_s": result.wall_s,
        **({"simulated_s": result.simulated_s} if clocked else {}),
    }


def _told_apart(names: Sequence[str], index: int, record: RunRecord) -> str:
    """Return a run's name, with its folder where another run has the same name."""
    name = names[index]
    return f"{name} ({record.directory.name})" if names.count(name) > 1 else name


def _heading(column: str, titles: dict[str, str]) -> str:
    name, dot, part = column.rpartition(".")
    if dot:
        return f"{titles[name]} {'alone' if part == 'isolated' else part}"
    return {"wall_s": "wall time", "simulated_s": "simulated time"}.get(column, column)


def _text(column: str, value: Any, metrics: dict[str, Metric]) -> str:
    name, dot, _ = column.rpartition(".")
    if dot:
        return metric_text(value, metrics[name])
    if value is None:
        return ABSENT
    if column == "bytes":
        return bytes_text(value)
    if column in ("wall_s", "simulated_s"):
        return seconds_text(value)
    return count_text(value) if column in ("agents", "rounds", "tokens") else str(value)


def _against_bytes(comparison: Comparison) -> Chart:
    """Return each run's mean quality over the bytes it had exchanged, one metric at a time."""
    totals = [run.result.payload_bytes for run in comparison.runs if run.result.payload_bytes]
    axis = bytes_axis(min(totals, default=1), max(totals, default=1))
    traces = [
        _bought(run, metric, colour(i, len(comparison.runs)), totals, axis.get("type") == "log")
        | {"meta": {"metric": metric.name}, "visible": metric == comparison.metrics[0]}
        for metric in comparison.metrics
        for i, run in enumerate(comparison.runs)
    ]
    percent = bool(comparison.metrics) and comparison.metrics[0].percent
    return Chart(
        id="against-bytes",
        title="Quality against bytes",
        caption="Mean over agents at every evaluation, over all bytes that the run had exchanged so"
        " far. Dotted: where a run that exchanged nothing ended.",
        traces=traces,
        layout={
            "xaxis": axis,
            "yaxis": share_axis(percent),
            "showlegend": True,
        },
        height_px=420,
    )


def _bought(run: Run, metric: Metric, hue: str, totals: Sequence[int], log: bool) -> dict[str, Any]:
    """Return one run's curve over bytes; a level line for a run that exchanged nothing."""
    by_round = rounds_of(run.record.metrics, metric)
    sent = bytes_until(run.record)
    points = [(sent(round), float(np.mean(values))) for round, values in by_round.items()]
    if run.result.payload_bytes == 0 and points:
        ends = [min(totals, default=1) / 10 if log else 0, max(totals, default=1)]
        return line(ends, [points[-1][1]] * 2, hue, name=label(run.name), dash="dot")
    points = [point for point in points if point[0] > 0 or not log]
    x, y = [x for x, _ in points], [y for _, y in points]
    return line(x, y, hue, name=label(run.name), mode="lines+markers")


def _curve(comparison: Comparison, metric: Metric) -> Chart:
    """Return each run's mean of a metric over rounds, dashed for its isolated baseline."""
    traces = []
    for i, run in enumerate(comparison.runs):
        hue = colour(i, len(comparison.runs))
        for arm, rows in (("together", run.record.metrics), ("alone", run.record.isolated or [])):
            by_round = rounds_of(rows, metric)
            mean = [float(np.mean(values)) for values in by_round.values()]
            name = label(run.name if arm == "together" else f"{run.name}, alone")
            dash = "solid" if arm == "together" else "dash"
            meta = {"meta": {"agent": str(i), "arm": arm}}
            traces.append(line(list(by_round), mean, hue, dash=dash, name=name) | meta)
    every = [row for run in comparison.runs for row in run.record.metrics]
    return Chart(
        id=f"curve-{metric.name}",
        title=metric.title,
        caption=metric.help,
        traces=traces,
        layout={
            "xaxis": rounds_axis(every),
            "yaxis": share_axis(metric.percent),
            "showlegend": False,
        },
        agents=True,
    )
