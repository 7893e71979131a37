"""The live display of a run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from agentos.config.run import RunConfig
from agentos.data.cleaning.counts import left_out
from agentos.events import Listener
from agentos.records.layout import TOGETHER
from agentos.reporting.units import bytes_text
from agentos.simulation.arms import baselines_of

if TYPE_CHECKING:
    from agentos.data.corpus import Corpus
    from agentos.records.reports import Restart, RoundReport

NAMED_AGENTS = 12
"""Most agents whose documents are listed."""


class LiveDisplay(Listener):
    """Shows stages, rounds, loss, bytes and time left; plain lines if there is no terminal."""

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
        self._arms = (TOGETHER, *baselines_of(config))
        self._bar = self._progress.add_task(
            "preparing", total=config.training.rounds * len(self._arms), figures=""
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
        """Remove the progress bar from the screen."""
        if self._progress.live.is_started:
            self._progress.stop()

    def on_stage(self, what: str) -> None:
        """Show the stage of the preparation."""
        self._progress.update(self._bar, description=what)

    def on_corpus(self, corpus: Corpus) -> None:
        """Print the documents of each part and agent."""
        counts = corpus.counts
        self._console.print(
            f"text: {counts['train']:,} private documents, {counts['anchors']:,} public anchors, "
            f"{counts['heldout']:,} held out; left out: {left_out(counts)}",
            highlight=False,
        )
        if counts["across"]:
            self._console.print(
                f"about {counts['across']:,} of the duplicates would otherwise have put the same text "
                "in two of these parts",
                highlight=False,
            )
        if len(corpus.shards) <= NAMED_AGENTS:
            shares = zip(corpus.names, corpus.shards, strict=True)
            listed = ", ".join(f"{escape(name)} {len(rows):,}" for name, rows in shares)
            self._console.print(f"documents per agent: {listed}", highlight=False)

    def on_round(self, report: RoundReport) -> None:
        """Advance the bar, or print a line if there is no terminal."""
        losses = [m["loss"] for m in report.metrics.values() if "loss" in m]
        figures = f"round {report.round}/{report.rounds}"
        if losses:
            figures += f"  loss {sum(losses) / len(losses):.3f}"
        figures += f"  {bytes_text(report.total_bytes)}"
        if not self._console.is_terminal:
            passed = time.monotonic() - self._began
            self._console.print(f"{passed:6.1f} s  {report.arm}: {figures}", highlight=False)
            return
        done = report.round + report.rounds * self._arms.index(report.arm)
        self._progress.update(self._bar, description=report.arm, completed=done, figures=figures)

    def on_restart(self, restart: Restart) -> None:
        """Print the cause, and the round from which the run continues."""
        self._console.print(
            f"[yellow]restart {restart.number}[/] in round {restart.round} of {restart.arm}: "
            f"{escape(restart.why)}; going back to round {restart.back_to}",
            highlight=False,
        )
