"""What the command line shows: progress while a run goes on, tables when it is over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from typing_extensions import Self

from agentos.config import RunConfig
from agentos.events import Listener
from agentos.loading import InvalidConfiguration, ready_made
from agentos.reporting.units import bytes_text
from agentos.results import Quality, Result
from protocols.errors import AgentOSError
from protocols.spec import Spec
from protocols.topologies import Network, Topology

if TYPE_CHECKING:
    from agentos.compare import Comparison
    from agentos.coordinator import RoundReport
    from agentos.data.corpus import Corpus
    from agentos.evaluation.base import Metric


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
        self._tasks: dict[str, Any] = {}
        self._stage: Any = None

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
        self._progress.stop()

    def on_stage(self, what: str) -> None:
        """Show what is being prepared."""
        if self._stage is None:
            self._stage = self._progress.add_task(what, total=None, figures="")
        self._progress.update(self._stage, description=what, visible=True)

    def on_corpus(self, config: RunConfig, corpus: Corpus) -> None:
        """Print who reads what."""
        counts = corpus.counts
        self._console.print(
            f"text: {counts['train']:,} private documents, {counts['anchors']:,} public anchors, "
            f"{counts['heldout']:,} held out; {counts['duplicates']:,} duplicates left out",
            highlight=False,
        )
        if len(corpus.shards) <= 12:
            shares = zip(corpus.names, corpus.shards, strict=True)
            told = ", ".join(f"{escape(name)} {len(rows):,}" for name, rows in shares)
            self._console.print(f"agents read: {told}", highlight=False)

    def on_round(self, report: RoundReport) -> None:
        """Advance the arm's bar; or print a line."""
        if self._stage is not None:
            self._progress.update(self._stage, visible=False)
        losses = [m["loss"] for m in report.metrics.values() if "loss" in m]
        figures = f"round {report.round}/{report.rounds}"
        if losses:
            figures += f"  loss {sum(losses) / len(losses):.3f}"
        figures += f"  {bytes_text(report.total_bytes)}"
        if not self._console.is_terminal:
            passed = time.monotonic() - self._began
            self._console.print(f"{passed:6.1f} s  {report.arm}: {figures}", highlight=False)
            return
        if report.arm not in self._tasks:
            self._tasks[report.arm] = self._progress.add_task(
                report.arm, total=report.rounds, figures=figures
            )
        self._progress.update(self._tasks[report.arm], completed=report.round, figures=figures)


def show_result(console: Console, config: RunConfig, result: Result) -> None:
    """Print the final table, what it cost, and where the report lies."""
    metrics = {metric.name: metric for metric in config.evaluation.metrics}
    for name in _shown(metrics, result):
        console.print(_metric_table(metrics[name], result))
    console.print(_verdict(metrics, result))
    console.print(
        f"bytes sent {bytes_text(result.bytes.total)}, tokens trained {result.tokens:,} "
        f"(anchors {result.anchor_tokens:,}), {result.steps:,} steps per agent, "
        f"{result.wall_s:.0f} s",
        highlight=False,
    )
    console.print(f"records: {result.directory}", soft_wrap=True, highlight=False)
    console.print(f"report:  {result.directory / 'report.html'}", soft_wrap=True, highlight=False)


def _shown(metrics: Mapping[str, Metric], result: Result) -> list[str]:
    """Choose the metrics of task quality; geometry is for the report."""
    geometry = {"alignment", "uniformity", "rankme"}
    known = [name for name in metrics if name in result.mean]
    return [name for name in known if name not in geometry] or known


def _metric_table(metric: Metric, result: Result) -> Table:
    direction = "higher" if metric.higher_is_better else "lower"
    table = Table(title=f"{metric.title} ({direction} is better)", title_justify="left")
    table.add_column("agent")
    columns: list[tuple[str, Quality | None]] = [
        ("before", result.before),
        ("alone", result.isolated),
        ("together", result),
    ]
    present = [(name, quality) for name, quality in columns if quality is not None]
    for name, _ in present:
        table.add_column(name, justify="right")
    names = list(result.agents)
    for agent in names if len(names) <= 20 else []:
        table.add_row(agent, *(_number(q.agents.get(agent, {}), metric.name) for _, q in present))
    table.add_section()
    table.add_row("mean", *(_number(q.mean, metric.name) for _, q in present), style="bold")
    table.add_row("worst", *(_number(q.worst, metric.name) for _, q in present))
    return table


def _number(values: Mapping[str, float], name: str) -> str:
    return f"{values[name]:.4f}" if name in values else "-"


def _verdict(metrics: Mapping[str, Metric], result: Result) -> str:
    shown = _shown(metrics, result)
    if not shown or result.isolated is None:
        return "no isolated baseline ran, so there is nothing to compare with"
    metric = metrics[shown[0]]
    alone, together = result.isolated.agents, result.agents
    gains = [metric.gain(together[a][metric.name], alone[a][metric.name]) for a in together]
    better = sum(gain > 0 for gain in gains)
    mean = result.mean[metric.name] - result.isolated.mean[metric.name]
    verb = "gained" if metric.gain(mean, 0.0) > 0 else "lost" if mean else "changed nothing"
    return (
        f"together against alone, mean {metric.title}: {mean:+.4f} ({verb}); "
        f"{better} of {len(gains)} agents are better off. One seed shows no more than that."
    )


def show_error(console: Console, error: AgentOSError) -> None:
    """Print an error: what is wrong, what was given, what is allowed, and the mend."""
    if isinstance(error, InvalidConfiguration):
        console.print(f"[red]invalid configuration[/] {escape(error.origin)}")
        for problem in error.problems:
            console.print(
                f"  [bold]{escape(problem.path)}[/]: {escape(problem.message)}",
                highlight=False,
                soft_wrap=True,
            )
            details = {
                "given": problem.given,
                "allowed": problem.allowed,
                "did you mean": problem.closest,
            }
            for label, text in details.items():
                if text:
                    console.print(f"    {label}: {escape(text)}", highlight=False, soft_wrap=True)
        return
    console.print(f"[red]error[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    details = {"expected": error.expected, "given": error.actual, "mend": error.mend}
    for label, text in details.items():
        if text:
            console.print(f"  {label}: {escape(text)}", highlight=False, soft_wrap=True)


def show_kinds(console: Console) -> None:
    """Print every kind of every extension point with a line of help."""
    from agentos.data.partition import PARTITIONS
    from agentos.data.sources import SOURCES
    from agentos.evaluation import TASKS
    from agentos.runtime import RUNTIMES
    from agents.config import PRESETS
    from agents.exchange import EXCHANGES
    from agents.objectives import OBJECTIVES
    from agents.views import VIEWS
    from protocols.topologies import TOPOLOGIES

    tables: dict[str, Mapping[str, type[Spec]]] = {
        "data.source": SOURCES,
        "data.partition": PARTITIONS,
        "topology": TOPOLOGIES,
        "objectives": OBJECTIVES,
        "objectives.views": VIEWS,
        "exchange": EXCHANGES,
        "evaluation.tasks": TASKS,
        "runtime": RUNTIMES,
    }
    for point, kinds in tables.items():
        _print_kinds(console, point, {kind: _help(cls) for kind, cls in kinds.items()})
    presets = {name: f"BERT, {s.layers} layers x {s.width}" for name, s in PRESETS.items()}
    _print_kinds(console, "agents.encoder.preset", presets)
    runs = {name: _first_comment(path) for name, path in ready_made().items()}
    _print_kinds(console, "ready-made runs", runs)


def _print_kinds(console: Console, title: str, lines: Mapping[str, str]) -> None:
    console.print(f"[bold]{title}[/]")
    table = Table.grid(padding=(0, 2))
    for kind, text in lines.items():
        table.add_row(f"  [cyan]{kind}[/]", escape(text))
    console.print(table)


def _help(cls: type[Spec]) -> str:
    """First line of a class's docstring, and its parameters."""
    names = [name for name in cls.model_fields if name != "kind"]
    line = (cls.__doc__ or "").strip().split("\n")[0]
    return line + (f" ({', '.join(names)})" if names else "")


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ") if first.startswith("#") else ""


def show_topology(console: Console, topology: Topology, network: Network, picture: Path) -> None:
    """Print a network's figures and where its picture lies."""
    gap, diameter = network.spectral_gap, network.diameter
    sent = sum(len(hop.edges) for hop in network.hops(1))
    figures = {
        "kind": topology.kind,
        "family": network.family,
        "agents": str(network.agents),
        "edges": str(network.edge_count),
        "largest degree": str(network.max_degree),
        "diameter": "-" if diameter is None else str(diameter),
        "spectral gap": "-" if gap is None else f"{gap:.4f}",
        "hops per round": str(len(network.hops(1))),
        "messages per round": str(sent),
        "picture": str(picture),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in figures.items():
        table.add_row(name, escape(value))
    console.print(table)


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print a comparison of runs."""
    table = Table()
    for heading in comparison.headings:
        table.add_column(heading)
    for row in comparison.texts():
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
