"""Several runs next to each other: a table to print, and a page with charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentos.evaluation.base import Metric
from agentos.evaluation.joint.joint_config import is_joint
from agentos.records.atomic_files import reading, writing
from agentos.records.views.config_differences import differing_fields, run_labels, setting_text
from agentos.records.views.run_view import RunView, load_view
from agentos.reporting.charts.plotting import Chart, colour, label, line, rounds_axis, share_axis
from agentos.reporting.charts.simulated_time import runs_over_time
from agentos.reporting.charts.spent_bytes import runs_against_bytes
from agentos.reporting.page import write_page
from agentos.reporting.panels.final_table import half_width
from agentos.reporting.statistics import Interval, interval_text
from agentos.reporting.units import (
    ABSENT,
    bytes_text,
    count_text,
    metric_text,
    sample_text,
    seconds_text,
)
from protocols.errors import RecordError

PAGE = "comparison.html"
_HALF_WIDTH = ".half_width"
_TITLES = {
    "heldout": "held-out documents",
    "wall_s": "wall time",
    "simulated_s": "simulated time",
}
NO_SETTING = ("name", "seed")
"""Fields by which runs do not differ in their setting: runs of several seeds are one group."""


@dataclass(frozen=True)
class Comparison:
    """Several runs, in the order they were given.

    Args:
        runs: the runs; runs with the same name are distinguished by their folders.
        metrics: the metrics of any of them.
        rows: one mapping per run: ``run``, ``status``, ``topology``, ``exchange``, ``agents``,
            ``heldout`` (documents), ``rounds``, ``seed``, for each metric ``NAME.mean``,
            ``NAME.half_width`` (of its 95 % interval over agents), ``NAME.worst`` and
            ``NAME.isolated`` (the baseline's mean), ``bytes``, ``tokens`` and ``wall_s``, and
            ``simulated_s`` if any run has a clock; None if a run lacks a value.
    """

    runs: tuple[RunView, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of a row that have a column, in order; half-widths stand with their means."""
        return tuple(key for key in self.rows[0] if not key.endswith(_HALF_WIDTH))

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of the columns; an arrow shows whether higher or lower is better."""
        titles = {metric.name: f"{metric.title} {metric.arrow}" for metric in self.metrics}
        return tuple(_heading(column, titles) for column in self.columns)

    @property
    def sample(self) -> str:
        """Return a note on the agents and documents that the scores are means of."""
        documents = {run.heldout for run in self.runs if run.heldout}
        return sample_text({run.network.agents for run in self.runs}, documents)

    def texts(self) -> list[list[str]]:
        """Return the rows as texts for people."""
        known = {metric.name: metric for metric in self.metrics}
        return [[_text(key, row, known) for key in self.columns] for row in self.rows]


def compare(directories: Sequence[str | Path]) -> Comparison:
    """Read several run folders and put their outcomes next to each other.

    Raises:
        RecordError: no folder was given, or a folder is not a run folder or is damaged.
    """
    if not directories:
        raise RecordError(
            "There is nothing to compare",
            expected="run folders",
            actual="none",
            hint="name the folders that `agentos run` wrote",
        )
    loaded = [load_view(directory) for directory in directories]
    labels = run_labels([(run.name, run.directory) for run in loaded])
    runs = tuple(replace(run, name=name) for run, name in zip(loaded, labels, strict=True))
    metrics = {metric.name: metric for run in runs for metric in run.outcome.metrics}
    ordered = tuple(metrics.values())
    clocked = any(run.clock for run in runs)
    return Comparison(runs, ordered, tuple(_row(run, ordered, clocked) for run in runs))


def write_comparison(directories: Sequence[str | Path], out: str | Path) -> Path:
    """Write a page that shows several runs next to each other, and return its path.

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
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with reading(", ".join(map(str, directories))):
        return _write(comparison, path)


def _write(comparison: Comparison, path: Path) -> Path:
    runs, metrics = comparison.runs, comparison.metrics
    hues = _hues(runs)
    curves = [_curve(runs, hues, metric) for metric in metrics if not is_joint(metric)]
    timed = runs_over_time([(run.name, run.clock) for run in runs], metrics, hues)
    spent = runs_against_bytes([(run.name, run.traffic, run.curves) for run in runs], metrics, hues)
    return write_page(
        path,
        "comparison.html.j2",
        charts=[chart for chart in (spent, timed, *curves) if chart] if metrics else [],
        comparison=comparison,
        against_bytes=spent,
        against_time=timed,
        curves=curves,
        chips=[{"key": str(i), "name": run.name, "colour": hues[i]} for i, run in enumerate(runs)],
        isolated=any(curve.alone for run in runs for curve in run.curves),
    )


def _row(run: RunView, metrics: Sequence[Metric], clocked: bool) -> dict[str, Any]:
    result = run.outcome
    row: dict[str, Any] = {
        "run": run.name,
        "status": result.status,
        "topology": run.topology,
        "exchange": run.exchange,
        "agents": run.network.agents,
        "heldout": run.heldout,
        "rounds": result.rounds,
        "seed": run.seed,
    }
    for metric in metrics:
        row[f"{metric.name}.mean"] = result.together.mean.get(metric.name)
        row[f"{metric.name}{_HALF_WIDTH}"] = half_width(result.together, metric)
        row[f"{metric.name}.worst"] = result.together.worst.get(metric.name)
        alone = result.isolated.mean if result.isolated else {}
        row[f"{metric.name}.isolated"] = alone.get(metric.name)
    return row | {
        "bytes": run.traffic.total,
        "tokens": result.tokens,
        "wall_s": result.wall_s,
        **({"simulated_s": result.simulated_s} if clocked else {}),
    }


def _heading(column: str, titles: dict[str, str]) -> str:
    name, dot, part = column.rpartition(".")
    if dot:
        return f"{titles[name]} {'alone' if part == 'isolated' else part}"
    return _TITLES.get(column, column)


def _text(column: str, row: dict[str, Any], metrics: dict[str, Metric]) -> str:
    value, (name, dot, part) = row[column], column.rpartition(".")
    if dot:
        half = row[f"{name}{_HALF_WIDTH}"] if part == "mean" else None
        text = metric_text(value, metrics[name])
        return text if half is None else interval_text(Interval(value, half), metrics[name])
    if value is None:
        return ABSENT
    if column == "bytes":
        return bytes_text(value)
    if column in ("wall_s", "simulated_s"):
        return seconds_text(value)
    return count_text(value) if column in ("agents", "heldout", "rounds", "tokens") else str(value)


def _hues(runs: Sequence[RunView]) -> list[str]:
    """Return the colour of each run: that of its setting, which runs of other seeds share."""
    seen: dict[tuple[str, ...], int] = {}
    settings = [
        tuple(map(setting_text, values.values()))
        for values in differing_fields([run.config for run in runs], NO_SETTING)
    ]
    return [colour(seen.setdefault(setting, len(seen))) for setting in settings]


def _curve(runs: Sequence[RunView], hues: Sequence[str], metric: Metric) -> Chart:
    """Return each run's mean of a metric over rounds, dashed for its isolated baseline."""
    traces = []
    for i, run in enumerate(runs):
        curve = run.curve(metric)
        arms = {"together": curve.together, "alone": curve.alone} if curve else {}
        for arm, found in arms.items():
            x, y = (found.rounds, found.mean) if found else ([], [])
            shown = label(run.name if arm == "together" else f"{run.name}, alone")
            dash = "solid" if arm == "together" else "dash"
            meta = {"meta": {"agent": str(i), "arm": arm}}
            style = line(hues[i], dash=dash, name=shown)
            traces.append({"x": x, "y": y} | style | meta)
    return Chart(
        id=f"curve-{metric.name}",
        title=metric.title,
        caption=metric.help,
        traces=traces,
        layout={
            "xaxis": rounds_axis(max(run.outcome.rounds for run in runs)),
            "yaxis": share_axis(metric.percent),
            "showlegend": False,
        },
        agents=True,
    )
