"""Tables that the command line prints when a run is over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentos.evaluation.base import Metric
from agentos.records.layout import REPORT, agent_name
from agentos.records.views.histories import Traffic
from agentos.records.views.outcome import Outcome
from agentos.records.views.run_view import load_view
from agentos.reporting.panels.final_table import half_width_text
from agentos.reporting.panels.traffic_panel import joint_text
from agentos.reporting.units import (
    bytes_text,
    metric_text,
    phases_text,
    sample_text,
    saved_text,
    seconds_text,
)
from agentos.reporting.verdict import verdict

_ROWS = 20
"""Most agents that are listed one by one."""


def show_outcome(console: Console, directory: Path) -> None:
    """Print the outcome of a finished run, its cost, and the path of its report."""
    run = load_view(directory)
    result, traffic, words = run.outcome, run.traffic, verdict(run.outcome)
    quality = [metric for metric in result.metrics if not metric.minor]
    shown = quality or result.metrics
    for metric in shown:
        if not metric.variant_of:
            variants = [each for each in shown if each.variant_of == metric.name]
            console.print(_metric_table((metric, *variants), result, run.names))
    if shown:
        sample = sample_text([len(run.names)], [run.heldout] if run.heldout else [])
        console.print(f"{sample}; ± 95 %: interval of the mean over agents", style="dim")
    console.print(f"[bold]{escape(words.headline)}[/]", highlight=False)
    console.print(escape(" ".join(words.details)), highlight=False)
    if traffic.fp32_total != traffic.total:
        console.print(_saved_table(traffic))
    console.print(
        f"bytes sent {bytes_text(traffic.total)} | tokens trained {result.tokens:,} | "
        f"steps per agent {result.steps or 0:,} | {result.wall_s or 0.0:.0f} s",
        highlight=False,
    )
    if result.phase_s:
        console.print(f"time: {escape(phases_text(result.phase_s))}", highlight=False)
    if result.joint is not None:
        console.print(joint_text(result.joint), highlight=False)
    if result.simulated_s is not None:
        console.print(f"simulated time {seconds_text(result.simulated_s)}", highlight=False)
    for agent, found in run.health.paused.items() if run.health else ():
        console.print(
            f"[yellow]paused[/] {agent_name(agent)} in {len(found):,} of {result.rounds:,} rounds"
        )
    for line in (f"records: {directory}", f"report:  {directory / REPORT}"):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _saved_table(traffic: Traffic) -> Table:
    """Return the bytes that codecs saved, by kind of payload."""
    table = Table(title="Bytes, and the share that the codec saved", title_justify="left")
    for heading in ("message", "sent", "as fp32", "saved"):
        table.add_column(heading, justify="left" if heading == "message" else "right")
    rows = {kind: (size, traffic.fp32_by_kind[kind]) for kind, size in traffic.by_kind.items()}
    if len(rows) > 1:
        rows["all"] = (traffic.total, traffic.fp32_total)
    for kind, (sent, fp32) in rows.items():
        table.add_row(kind, bytes_text(sent), bytes_text(fp32), saved_text(sent, fp32))
    return table


def _metric_table(metrics: Sequence[Metric], result: Outcome, names: Sequence[str]) -> Table:
    """Return the table of a metric, with columns for its variants next to the plain ones."""
    metric = metrics[0]
    direction = "higher" if metric.higher_is_better else "lower"
    table = Table(title=f"{metric.title} ({direction} is better)", title_justify="left")
    table.add_column("agent")
    columns = {
        "before": result.before,
        "alone": result.isolated,
        "self-training": result.self_training,
        "together": result.together,
    }
    arms = {name: arm for name, arm in columns.items() if arm is not None}
    # Eight columns fit into 80 characters; the report shows the variants of every arm.
    columns_of = [
        (each, name)
        for each in metrics
        for name in arms
        if not each.variant_of or name in ("alone", "together")
    ]
    for each, name in columns_of:
        word = each.title.rpartition(", ")[2] if each.variant_of else ""
        table.add_column(f"{name}\n{word}".rstrip(), justify="right")
    agents = [i for i in range(len(names)) if agent_name(i) in result.together.agents]
    for agent in agents if len(agents) <= _ROWS else []:
        shown = agent_name(agent) + (
            "" if names[agent] == agent_name(agent) else f" {escape(names[agent])}"
        )
        table.add_row(
            shown,
            *(metric_text(arms[name].value(agent, each), each) for each, name in columns_of),
        )
    table.add_section()
    for row in ("mean", "worst"):
        values = [
            metric_text(getattr(arms[name], row).get(each.name), each) for each, name in columns_of
        ]
        table.add_row(row, *values)
        if row == "mean":
            table.add_row(
                "± 95 %", *(half_width_text(arms[name], each) for each, name in columns_of)
            )
    return table
