"""What the command line shows: progress while a run goes on, tables when it is over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from typing_extensions import Self

from agentos.arms import compares_with_isolated
from agentos.config.run import RunConfig
from agentos.data.cleaning.counts import left_out
from agentos.events import Listener
from agentos.records.recorder import load_run
from agentos.reporting.outcome import Outcome, outcome
from agentos.reporting.panels.health_panel import paused_rounds
from agentos.reporting.report import REPORT
from agentos.reporting.units import ABSENT, bytes_text, metric_text, saved_text, seconds_text
from agentos.reporting.verdict import verdict
from agentos.rounds.resumption import ISOLATED

if TYPE_CHECKING:
    from agentos.data.corpus import Corpus
    from agentos.evaluation.base import Metric
    from agentos.records.reports import Restart, RoundReport
    from agentos.reporting.comparison import Comparison

_COLUMNS = 5  # runs that a table in a terminal sets side by side
_ROWS = 20  # agents that a table in a terminal lists one by one


class LiveDisplay(Listener):
    """Shows stages, rounds, loss, bytes and time left; plain lines where there is no terminal."""

    def __init__(self, console: Console, config: RunConfig) -> None:
        self._console = console
        self._config = config
        self._began = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        # One bar over all arms, so that the time left is that of the whole run.
        arms = 2 if compares_with_isolated(config) else 1
        self._bar = self._progress.add_task(
            "preparing", total=config.training.rounds * arms, figures=""
        )

    def __enter__(self) -> Self:
        self._console.print(
            f"[bold]{self._config.name}[/]: {self._config.agents.total} agents, "
            f"{self._config.topology.kind}, {self._config.exchange.kind}, seed {self._config.seed}"
        )
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the progress off the screen."""
        if self._progress.live.is_started:
            self._progress.stop()

    def on_stage(self, what: str) -> None:
        """Show what is being prepared."""
        self._progress.update(self._bar, description=what)

    def on_corpus(self, corpus: Corpus) -> None:
        """Print who reads what."""
        counts = corpus.counts
        self._console.print(
            f"text: {counts['train']:,} private documents, {counts['anchors']:,} public anchors, "
            f"{counts['heldout']:,} held out; left out: {left_out(counts)}",
            highlight=False,
        )
        if counts["across"]:
            self._console.print(
                f"about {counts['across']:,} of the duplicates would have lain across private "
                "documents, anchors and held-out documents",
                highlight=False,
            )
        if len(corpus.shards) <= 12:
            shares = zip(corpus.names, corpus.shards, strict=True)
            told = ", ".join(f"{escape(name)} {len(rows):,}" for name, rows in shares)
            self._console.print(f"agents read: {told}", highlight=False)

    def on_round(self, report: RoundReport) -> None:
        """Advance the bar; or print a line."""
        losses = [m["loss"] for m in report.metrics.values() if "loss" in m]
        figures = f"round {report.round}/{report.rounds}"
        if losses:
            figures += f"  loss {sum(losses) / len(losses):.3f}"
        figures += f"  {bytes_text(report.total_bytes)}"
        if not self._console.is_terminal:
            passed = time.monotonic() - self._began
            self._console.print(f"{passed:6.1f} s  {report.arm}: {figures}", highlight=False)
            return
        done = report.round + (report.rounds if report.arm == ISOLATED else 0)
        self._progress.update(self._bar, description=report.arm, completed=done, figures=figures)

    def on_restart(self, restart: Restart) -> None:
        """Print what happened, and where the run goes on."""
        self._console.print(
            f"[yellow]restart {restart.number}[/] in round {restart.round} of {restart.arm}: "
            f"{escape(restart.why)}; going back to round {restart.back_to}",
            highlight=False,
        )


def show_result(console: Console, directory: Path) -> None:
    """Print what a finished run came to, what it cost, and where its report lies."""
    record = load_run(directory)
    result = outcome(record)
    said = verdict(result)
    quality = [metric for metric in result.metrics if not metric.minor]
    for metric in quality or result.metrics:
        console.print(_metric_table(metric, result, record.names))
    console.print(f"[bold]{escape(said.headline)}[/]", highlight=False)
    console.print(escape(" ".join(said.details)), highlight=False)
    if result.fp32_bytes != result.payload_bytes:
        console.print(_saved_table(result))
    console.print(
        f"bytes sent {bytes_text(result.payload_bytes)} | tokens trained {result.tokens:,} | "
        f"steps per agent {result.steps or 0:,} | {result.wall_s or 0.0:.0f} s",
        highlight=False,
    )
    if result.simulated_s is not None:
        console.print(
            f"simulated time elsewhere {seconds_text(result.simulated_s)}", highlight=False
        )
    for agent, rounds in paused_rounds(record).items():
        console.print(f"[yellow]paused[/] {agent} in {rounds:,} of {result.rounds:,} rounds")
    for told in (f"records: {directory}", f"report:  {directory / REPORT}"):
        console.print(told, soft_wrap=True, highlight=False, markup=False)


def _saved_table(result: Outcome) -> Table:
    """Return what codecs saved, by kind of payload."""
    table = Table(title="Bytes, and what the codec saved", title_justify="left")
    for heading in ("message", "sent", "as fp32", "saved"):
        table.add_column(heading, justify="left" if heading == "message" else "right")
    rows = {kind: (size, result.fp32_by_kind[kind]) for kind, size in result.bytes_by_kind.items()}
    if len(rows) > 1:
        rows["all"] = (result.payload_bytes, result.fp32_bytes)
    for kind, (sent, fp32) in rows.items():
        table.add_row(kind, bytes_text(sent), bytes_text(fp32), saved_text(sent, fp32))
    return table


def _metric_table(metric: Metric, result: Outcome, names: Sequence[str]) -> Table:
    direction = "higher" if metric.higher_is_better else "lower"
    table = Table(title=f"{metric.title} ({direction} is better)", title_justify="left")
    table.add_column("agent")
    columns = {"before": result.before, "alone": result.isolated, "together": result.together}
    arms = {name: arm for name, arm in columns.items() if arm is not None}
    for name in arms:
        table.add_column(name, justify="right")
    agents = list(result.together.agents)
    for agent in agents if len(agents) <= _ROWS else []:
        shown = f"{agent} {escape(_own_name(agent, names))}"
        table.add_row(shown, *(metric_text(arm.of(agent, metric), metric) for arm in arms.values()))
    table.add_section()
    for row in ("mean", "worst"):
        values = [getattr(arm, row).get(metric.name) for arm in arms.values()]
        table.add_row(row, *(metric_text(value, metric) for value in values))
    return table


def _own_name(agent: str, names: Sequence[str]) -> str:
    """Return the name that the text gave an agent, unless it is its number again."""
    name = names[int(agent.rpartition("-")[2])]
    return "" if name == agent else name


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print runs side by side, a few at a time; what no run has is left out."""
    texts = comparison.texts()
    for start in range(0, len(texts), _COLUMNS):
        chunk = texts[start : start + _COLUMNS]
        table = Table(show_lines=False)
        table.add_column("")
        for run in chunk:
            table.add_column(escape(run[0]), justify="right", overflow="fold")
        for heading, *cells in zip(comparison.headings, *chunk, strict=True):
            if any(cell != ABSENT for cell in cells) and cells != [run[0] for run in chunk]:
                table.add_row(heading, *(escape(cell) for cell in cells))
        console.print(table)
