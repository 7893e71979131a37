"""The display of a sweep: its plan, its progress, and the runs that failed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typing_extensions import Self

from agentos.evaluation.base import Metric
from agentos.reporting.units import bytes_text, metric_text, seconds_text
from agentos.sweep.estimate import Estimate
from agentos.sweep.execute import Folder
from agentos.sweep.optuna_search import Found
from agentos.sweep.plan import Planned
from agentos.sweep.rows import FAILED, FINISHED, Row
from agentos.sweep.search_config import Range, SearchConfig

_SHOWN = 3
"""Most running runs that are named."""


class SweepDisplay:
    """Shows finished runs, active runs and the time left; a line for every run if there is no terminal.

    Args:
        console: the console to print to.
        done: number of runs that had finished before.
        total: number of runs in the sweep.
    """

    def __init__(self, console: Console, done: int, total: int) -> None:
        self._console = console
        self._active: list[str] = []
        self._began = time.monotonic()
        self._before, self._done, self._total = done, done, total
        self._progress = Progress(
            TextColumn("runs"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.description}"),
            console=console,
            # Runs take minutes: the speed must be averaged over all of them, not over the last seconds.
            speed_estimate_period=1e9,
            transient=True,
        )
        self._bar = self._progress.add_task("", total=total, completed=done)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_start(self, run: Planned) -> None:
        """Show a run that has started."""
        self._active.append(run.label)
        self._describe()

    def on_end(self, run: Planned, row: Row) -> None:
        """Count a run that has ended, and print how."""
        self._active.remove(run.label)
        self._done += 1
        self._progress.advance(self._bar)
        self._describe()
        finished = row["status"] == FINISHED
        end = f"{seconds_text(row['wall_s'])}" if finished else f"[red]{FAILED}[/]"
        self._console.print(
            f"\\[{self._done}/{self._total}] {run.label}: {end}{self._left()}", highlight=False
        )

    def _left(self) -> str:
        if self._console.is_terminal or self._done == self._total:
            return ""
        each = (time.monotonic() - self._began) / (self._done - self._before)
        return f"; about {seconds_text(each * (self._total - self._done))} left"

    def _describe(self) -> None:
        more = f" and {len(self._active) - _SHOWN} more" if len(self._active) > _SHOWN else ""
        self._progress.update(self._bar, description="; ".join(self._active[:_SHOWN]) + more)


def show_plan(console: Console, folder: Folder, estimates: Mapping[str, Estimate]) -> None:
    """Print the runs of a sweep, the maximum cost of each, and the total still to be done."""
    axes = list(folder.planned[0].axes)
    table = Table()
    for heading in ("arm", *axes, "seed", "id", "state"):
        table.add_column(heading)
    for heading in ("tokens, at most", "bytes, about"):
        table.add_column(heading, justify="right")
    for run in folder.planned:
        cost, row = estimates[run.id], folder.row(run)
        table.add_row(
            *(run.arm, *run.axes.values(), str(run.seed), run.id),
            row["status"] if row else "to do",
            f"{cost.tokens:,}",
            bytes_text(cost.payload_bytes),
        )
    console.print(table)
    left = folder.unfinished
    console.print(
        f"{len(left)} of {len(folder.planned)} runs to do: at most "
        f"{sum(estimates[run.id].tokens for run in left):,} tokens, about "
        f"{bytes_text(sum(estimates[run.id].payload_bytes for run in left))}",
        highlight=False,
    )


def show_failures(console: Console, folder: Folder, runs: Sequence[Planned]) -> None:
    """Print why runs failed, and the paths of their logs."""
    for run in runs:
        row = folder.row(run)
        if row is not None and row["status"] == FAILED:
            console.print(
                f"[red]{FAILED}[/] {escape(run.label)}: {escape(row['error'])}", soft_wrap=True
            )
            console.print(
                f"  log: {folder.log(run)}", soft_wrap=True, markup=False, highlight=False
            )


def show_space(console: Console, search: SearchConfig, metric: Metric, seeds: int) -> None:
    """Print what a search would try."""
    table = Table("field", "values", title_justify="left")
    for path, values in search.space.items():
        text = ", ".join(map(str, values)) if not isinstance(values, Range) else _range(values)
        table.add_row(escape(path), escape(text))
    console.print(table)
    console.print(
        f"{search.trials:,} trials by {search.sampler}, {seeds} seeds each, for {metric.phrase}",
        highlight=False,
    )


def show_found(console: Console, found: Found) -> None:
    """Print the best trial of a search."""
    counts = f"{found.trials:,} trials, {found.pruned:,} pruned, {found.failed:,} failed"
    console.print(counts, highlight=False)
    if found.best is not None:
        name, fields, value = found.best
        told = " ".join(f"{path}={field}" for path, field in fields.items())
        best = f"best: {name}, {found.metric.phrase} {metric_text(value, found.metric)}: {told}"
        console.print(escape(best), highlight=False, soft_wrap=True)
        advice = "The best of many trials looks better than it is: run it again under other seeds."
        console.print(advice, highlight=False)


def _range(values: Range) -> str:
    step = f", step {values.step}" if values.step else ""
    return f"{values.low} to {values.high}{step}{', log' if values.log else ''}"
